"""The sections of a card, in Markdown."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipeline.card.facts import Facts, gritmill_version
from pipeline.card.markdown import block, code, plain, table
from pipeline.card.yours import between_markers
from pipeline.output.scores import HEADING
from pipeline.stats.table import compared_rows, number, own_rows, share, source_lines

HOME = "https://github.com/gritmill/gritmill"
_MEN = ("man", "boy", "guy", "gentleman", "father", "husband")
_WOMEN = ("woman", "girl", "lady", "mother", "wife")
_RESTRICTED = ("noncommercial", "non-commercial", "noderiv", "by-nc", "by-nd", "-nd")
_MOST = 10
_KOSMOS_2 = """\
@article{peng2023kosmos2,
  title = {Kosmos-2: Grounding Multimodal Large Language Models to the World},
  author = {Peng, Zhiliang and Wang, Wenhui and Dong, Li and Hao, Yaru and Huang, Shaohan and Ma, Shuming
            and Wei, Furu},
  journal = {arXiv preprint arXiv:2306.14824},
  year = {2023}
}"""


def body(facts: Facts, yours: str) -> str:
    """Everything below the front matter."""
    sections = [
        f"# {plain(facts.name)}",
        summary(facts),
        between_markers(yours),
        "## Using it\n\n" + _use(facts),
        "## Numbers\n\n" + _numbers(facts),
        "## How it was made\n\n" + _making(facts),
        "## Known limits and biases\n\n" + "\n".join(f"- {limit}" for limit in _limits(facts)),
        "## Licences\n\n" + _licences(facts),
        "## Citation\n\n" + block(citation(facts), "bibtex"),
    ]
    if facts.scores:
        sections.append("## Scores\n\n" + facts.scores.removeprefix(HEADING).strip())
    return "\n\n".join(sections) + "\n"


def summary(facts: Facts) -> str:
    """One paragraph in plain words, without markup."""
    stats = facts.stats
    parts = [f"{number(stats.images)} images with captions, in {number(stats.samples)} samples"]
    if stats.boxes:
        kind = "referring expressions" if facts.has_stage("referring_expressions") else "phrases"
        parts.append(f"{number(stats.spans)} {kind} of the captions, grounded in {number(stats.boxes)} boxes")
    if stats.conversations:
        parts.append(f"conversations for {number(stats.conversations)} samples")
    return "; ".join(parts) + f". Made from a recipe with gritmill ({HOME})."


def _use(facts: Facts) -> str:
    split = facts.splits[0]
    parts = []
    load = f'from datasets import load_dataset\n\ndata = load_dataset("PATH", split="{split}")'
    if facts.has(".tar"):
        load += '\ndata[0]["json"]["caption"]'
        parts.append(
            "`PATH` is this repository's name or a folder with its files. Each sample of the webdataset "
            "shards in `data/` is the untouched image, its record (`json`) and its caption (`txt`)."
        )
    else:
        parts.append("`PATH` is this repository's name or a folder with its files. Images are not included.")
    parts.append(block(load, "python"))
    if facts.has(".tar") and facts.has(".parquet"):
        parts.append(
            "The records without the images also lie in `parquet/`, for "
            '`pandas.read_parquet("PATH/parquet")`.'
        )
    if facts.stats.boxes:
        parts.append(
            "`noun_chunks` and `ref_exps` of a record are parallel lists of "
            "`[start, end, x1, y1, x2, y2, score]`: characters of the caption (the end not included), then "
            "the corners of the box in 0..1 of the whole image as a viewer shows it, the origin at the top "
            "left, then the raw score of the model that found it. `boxes` says which model that was."
        )
    if facts.stats.conversations:
        parts.append("`conversations` of a record is a string of JSON: turns, with their boxes as numbers.")
    others = sorted({name.split("/")[0] for name in facts.files} - {"data", "parquet"})
    if others:
        folders = " and ".join(f"`{name}/`" for name in others)
        parts.append(f"{folders}: the same dataset in the format that goes by this name.")
    return "\n\n".join(parts)


def _numbers(facts: Facts) -> str:
    splits = [("split", "shards", "samples", "bytes")]
    for split, found in facts.summary["splits"].items():
        splits.append((split, *(number(found[name]) for name in ("shards", "samples", "bytes"))))
    own = [("measure", "value"), *((label, plain(value)) for label, value in own_rows(facts.stats))]
    return "\n\n".join(
        [
            table(splits),
            "Counted over all splits, beside what was published of others. An expression counts once a "
            "sample, a box once for each expression that it belongs to.",
            table(compared_rows(facts.stats)),
            *(plain(line) + "." for line in source_lines()),
            table(own),
        ]
    )


def _making(facts: Facts) -> str:
    parts = ["The stages that each sample went through, with every option that decides what they give:"]
    steps = [("stage", "options"), ("source", _options(facts.recipe["source"]))]
    for stage in facts.stages:
        name = stage.name if stage.name == stage.kind else f"{stage.name} ({stage.kind})"
        steps.append((code(name), _options(stage.options)))
    parts.append(table(steps))
    if versions := facts.summary["versions"]:
        parts.append("Models with their revisions, libraries, and digests of prompts and word lists:")
        rows = [("stage", "what", "version or digest")]
        for step, found in versions.items():
            rows += [(code(step), code(name), code(version)) for name, version in found.items()]
        parts.append(table(rows))
    parts.append("What became of the rows:")
    funnel: list[tuple[str, ...]] = [("step", "in", "kept", "rejected", "failed", "why")]
    for row in facts.summary["funnel"]:
        why = {**row["rejected"], **row["failed"]}
        reasons = ", ".join(f"{code(reason)} {count:,}" for reason, count in _by_count(why))
        counts = (row["rows_in"], row["rows_out"], sum(row["rejected"].values()), sum(row["failed"].values()))
        funnel.append((code(row["step"]), *map(number, counts), reasons))
    parts.append(table(funnel))
    parts.append("The recipe; what it names on the machine that ran it is shortened:")
    parts.append(block(yaml.safe_dump(facts.recipe, sort_keys=False, allow_unicode=True), "yaml"))
    parts.append(
        f"Fingerprint of the files: `{facts.fingerprint}`. Card written by gritmill {gritmill_version()}."
    )
    return "\n\n".join(parts)


def _limits(facts: Facts) -> Iterator[str]:
    """Generic ones where they apply, then those that can be computed."""
    stats = facts.stats
    if stats.boxes:
        yield (
            "Phrases were found and matched with boxes by machine, and nobody checked the result. A phrase "
            "without a box may still be in the image, and an expression may fit other things in it, too."
        )
    if facts.models:
        yield "Scores are raw; those of different models cannot be compared."
    if stats.text_models:
        yield (
            "Conversations were written by a language model and checked by rules only. They may tell of what "
            "the image does not show."
        )
    yield "Captions are as the source has them: they may be wrong, and leave most of an image out."
    yield (
        "None of gritmill's stages looks for faces, names, or offensive content, "
        "and none checks which language a caption is in."
    )
    funnel = facts.summary["funnel"]
    if funnel and funnel[0]["rows_in"]:
        first, last = funnel[0]["rows_in"], funnel[-1]["rows_out"]
        yield f"{share(last / first)} of the source's {number(first)} rows are left."
    if stats.concepts:
        yield (
            f"The {_MOST} most frequent of {number(len(stats.concepts))} concepts have "
            f"{share(stats.coverage(_MOST))} of the boxes: {', '.join(list(stats.concepts)[:_MOST])}."
        )
        men, women = (sum(stats.concepts.get(word, 0) for word in words) for words in (_MEN, _WOMEN))
        if men or women:
            yield (
                f"{number(men)} boxes are of men or boys by their phrase and {number(women)} of women or "
                "girls, as those who wrote the captions took them."
            )
    if stats.area:
        yield (
            f"Half of the boxes cover less than {share(stats.area['0.5'])} of their image, and one in "
            f"twenty more than {share(stats.area['0.95'])}."
        )
    if stats.duplicate_captions:
        yield f"{number(stats.duplicate_captions)} samples repeat the caption of another."
    if stats.duplicate_images:
        yield f"{number(stats.duplicate_images)} images are byte for byte another one."


def _licences(facts: Facts) -> str:
    parts = []
    if facts.card.license == "unknown":
        parts.append("Nobody has said yet under which licence this dataset may be used.")
    else:
        link = f", see {plain(facts.card.license_url)}" if facts.card.license_url else ""
        parts.append(f"The dataset: {code(facts.card.license)}{link}.")
    if facts.card.source:
        parts.append(f"Images and captions: {plain(facts.card.source)}")
    parts.append("Each image and caption stays under the terms of those who made it.")
    if facts.stats.licenses:
        rows = [("licence that the source states", "samples")]
        rows += [(plain(name), number(count)) for name, count in _by_count(facts.stats.licenses)[:50]]
        parts.append(table(rows))
        if any(word in name.lower() for name in facts.stats.licenses for word in _RESTRICTED):
            parts.append("Some of these forbid commercial use, or changes.")
    if models := [*facts.models, *facts.stats.text_models]:
        names = ", ".join(map(code, models[:50]))
        parts.append(f"What models give may be bound by their licences and terms of use. Here: {names}.")
    return "\n\n".join(parts)


def citation(facts: Facts) -> str:
    """BibTeX: the recipe's own or a plain entry, and the paper whose method made the expressions."""
    own = facts.card.citation.strip() or "\n".join(
        [
            f"@misc{{{facts.name},",
            f"  title = {{{facts.name}}},",
            f"  note = {{Made with gritmill, {HOME}; files {facts.fingerprint}}}",
            "}",
        ]
    )
    return f"{own}\n\n{_KOSMOS_2}" if facts.has_stage("referring_expressions") else own


def _options(options: Mapping[str, Any]) -> str:
    if not options:
        return ""
    return code(
        ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.items())
    )


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

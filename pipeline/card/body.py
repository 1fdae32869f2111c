"""Everything of a card below its front matter: the sections in their order."""

from collections.abc import Sequence

from gritmill.pipeline.card.citation import HOME, citation
from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.licences import licences
from gritmill.pipeline.card.limits import limits
from gritmill.pipeline.card.making import making
from gritmill.pipeline.card.markdown import block, plain, table
from gritmill.pipeline.card.pictures import CardPicture, pictures_section
from gritmill.pipeline.card.using import using
from gritmill.pipeline.card.yours import between_markers
from gritmill.pipeline.output.scores import HEADING
from gritmill.pipeline.stats.table import compared_rows, number, own_rows, source_lines


def body(facts: Facts, yours: str, pictures: Sequence[CardPicture] = ()) -> str:
    """The Markdown, with the user's own part and the pictures that lie beside it."""
    sections = {
        "Samples": pictures_section(pictures),
        "Using it": using(facts),
        "Numbers": numbers(facts),
        "How it was made": making(facts),
        "Known limits and biases": "\n".join(f"- {limit}" for limit in limits(facts)),
        "Licences": licences(facts),
        "Citation": block(citation(facts), "bibtex"),
        "Scores": facts.scores.removeprefix(HEADING).strip(),
    }
    parts = [f"# {plain(facts.name)}", summary(facts), between_markers(yours)]
    parts += [f"## {heading}\n\n{text}" for heading, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


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


def numbers(facts: Facts) -> str:
    """Sizes of the splits, and every number of `pipeline stats`."""
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

"""The page: what is found in a run, in sections, and all styles, scripts and pictures in one text."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import NamedTuple

from gritmill.pipeline.engine.funnel import reasons_text
from gritmill.pipeline.gallery import GalleryEntry, asset
from gritmill.pipeline.report import charts
from gritmill.pipeline.report.charts import Chart
from gritmill.pipeline.report.dropped import Group
from gritmill.pipeline.report.html import Html, join, table, tag
from gritmill.pipeline.report.measured import MeasuredColumn
from gritmill.pipeline.report.run import ReportedRun
from gritmill.pipeline.report.survey import Survey
from gritmill.pipeline.report.training import ReportedScore, Training


class Contents(NamedTuple):
    """Everything that a page shows."""

    run: ReportedRun
    survey: Survey | None
    """None where the dataset is not finished."""
    kept: list[GalleryEntry]
    measured: list[MeasuredColumn]
    """What filters measured."""
    groups: list[Group]
    """Of dropped samples."""
    pictures: list[str]
    """`data:` URIs; an image's `src` is `#` and the place of its own in the list."""
    training: Training | None
    fingerprint: str
    """Of the dataset's checksums; empty where it is not finished."""


def page(contents: Contents) -> str:
    """The same contents give the same text."""
    style = _minified(asset("gallery.css")) + _minified(_own("page.css"))
    script = asset("gallery.js") + _own("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return Template(_own("page.html")).substitute(
        policy=policy,
        title=join(contents.run.name, " · report"),
        style=style,
        body=join(*_body(contents)),
        data=_data(contents),
        script=script,
    )


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _minified(css: str) -> str:
    return "\n".join(line.strip() for line in css.splitlines() if line.strip())


def _digest(text: str) -> str:
    """As a content security policy names an inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(contents: Contents) -> str:
    """The samples as JSON that cannot end the element it stands in."""
    dropped = [group.entries for group in contents.groups]
    data = {"pictures": contents.pictures, "kept": contents.kept, "dropped": dropped}
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c")


def _body(contents: Contents) -> Iterator[Html]:
    found = [
        ("funnel", "Funnel", _funnel(contents.run)),
        ("filters", "Filters", _filters(contents.measured)),
        ("distributions", "Distributions", _distributions(contents.survey)),
        ("training", "Training", _training(contents.training)),
        ("samples", "Samples", _samples(contents)),
        ("dropped", "Dropped", _dropped(contents)),
    ]
    sections = [(name, heading, body) for name, heading, body in found if body]
    links = [tag("a", heading, href=f"#{name}") for name, heading, _ in sections]
    yield tag(
        "header",
        tag("p", "Dataset report", class_="kind"),
        tag("h1", contents.run.name),
        _summary(contents),
        tag("nav", *links, aria_label="Sections"),
    )
    blocks = [
        tag("section", tag("h2", heading, id=name), body, aria_labelledby=name)
        for name, heading, body in sections
    ]
    yield tag("main", *blocks)
    yield tag("footer", *_footer(contents))


def _summary(contents: Contents) -> Html:
    if contents.survey is None:
        text = "This run has not ended, or nothing was left of it: there is no dataset yet."
        return tag("p", text, class_="lead")
    stats = contents.survey.stats
    facts = [("samples", f"{stats.samples:,}"), ("images", f"{stats.images:,}")]
    if stats.boxes:
        facts += [("phrases", f"{stats.spans:,}"), ("boxes", f"{stats.boxes:,}")]
        facts += [("words per phrase", f"{stats.words_per_span:.2f}")]
        facts += [("expanded", f"{stats.expanded:.0%}"), ("nested", f"{stats.nested:.0%}")]
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)
    return tag("dl", *pairs, class_="facts")


def _funnel(run: ReportedRun) -> Html:
    rows = [
        (
            name,
            f"{total.rows_in:,}",
            f"{total.rows_out:,}",
            f"{total.rejected.total():,}",
            f"{total.failures:,}",
            reasons_text(total),
        )
        for name, total in run.funnel.items()
    ]
    header = ("step", "in", "kept", "rejected", "failed", "why")
    drawing = _drawing(
        charts.funnel(run.funnel), "Samples kept, rejected and failed by step, as the table has it"
    )
    numbers = tag(
        "div",
        table(header, rows, numbers=(1, 2, 3, 4)),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label="Funnel in numbers",
    )
    return tag("div", numbers, drawing, class_="funnel")


def _drawing(svg: Html, label: str) -> Html:
    # vl-convert gives its groups roles without names, which say nothing to whoever hears them.
    return tag("div", tag("div", svg, aria_hidden="true"), class_="drawing", role="img", aria_label=label)


def _figure(chart: Chart) -> Html:
    numbers = [range(len(chart.header))[-1]]
    return tag(
        "figure",
        tag("figcaption", tag("h3", chart.title), tag("p", chart.says)),
        _drawing(chart.svg, f"{chart.title}. {chart.says} The numbers follow."),
        tag("details", tag("summary", "Numbers"), table(chart.header, chart.rows, numbers=numbers)),
    )


def _filters(found: Sequence[MeasuredColumn]) -> Html:
    if not found:
        return Html()
    return tag("div", *(_figure(charts.measurement(one)) for one in found), class_="charts")


def _distributions(survey: Survey | None) -> Html:
    if survey is None:
        return Html()
    stats, counts = survey.stats, survey.counts
    found = [charts.lengths("Caption length", "captions", "words", counts.caption_words)]
    if stats.boxes:
        boxes: dict[int, int] = {}
        for count in counts.image_boxes.values():
            boxes[count] = boxes.get(count, 0) + 1
        found += [
            charts.lengths("Phrase length", "phrases", "words", counts.phrase_words),
            charts.lengths("Boxes per image", "images", "boxes", boxes),
            charts.areas(counts, stats.area["0.5"]),
            charts.scores(counts, list(stats.box_models)),
            charts.concepts(stats.concepts, stats.coverage(charts.MOST_CONCEPTS) or 0),
        ]
    return tag("div", *map(_figure, found), class_="charts")


def _training(training: Training | None) -> Html:
    if training is None:
        return Html()
    figures = []
    if training.log:
        last = training.log[-1]
        says = f"{last['step']:,} steps, {last['samples']:,} samples; the last loss is {last['loss']:.3f}."
        figures.append(_figure(charts.curve("Loss", says, "loss", training.log)))
        says = "As the schedule had it."
        figures.append(_figure(charts.curve("Learning rate", says, "learning_rate", training.log)))
    places = dict.fromkeys((score.set, score.task) for score in training.scores)
    for place in places:
        figures.append(_scores(f"{place[1]} on {place[0]}", [s for s in training.scores if s[:2] == place]))
    return tag("div", *figures, class_="charts")


def _scores(title: str, scores: Sequence[ReportedScore]) -> Html:
    whole = [score._asdict() for score in scores if "[" not in score.protocol]
    says = "With the 95 % interval of other images, beside the best answer that needs no look at the image."
    header = ("protocol", "score", "interval", "ceiling", "blind", "questions")
    rows = [
        (
            score.protocol,
            f"{score.value:.1%}",
            f"{score.low:.1%}-{score.high:.1%}",
            "" if score.ceiling is None else f"{score.ceiling:.1%}",
            "" if score.blind is None else f"{score.blind:.1%}",
            f"{score.questions:,}",
        )
        for score in scores
    ]
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", says)),
        _drawing(charts.score_chart(whole), f"Scores of {title}. The numbers follow."),
        tag("details", tag("summary", "Numbers"), table(header, rows, numbers=(1, 2, 3, 4, 5))),
    )


def _samples(contents: Contents) -> Html:
    if contents.survey is None:
        return Html()
    all_ = contents.survey.stats.samples
    shown = len(contents.kept)
    note = f"All {all_:,} samples." if shown == all_ else f"{shown:,} of {all_:,} samples, drawn by lot."
    search = tag(
        "search",
        tag("label", "Search by phrase or key", for_="query"),
        tag("input", type="search", id="query", autocomplete="off", spellcheck="false"),
        tag("p", "", id="found", role="status"),
    )
    return join(
        tag(
            "p",
            note,
            " A number is a phrase and its boxes; point at it, or press it to keep it.",
            class_="lead",
        ),
        search,
        _gallery("kept"),
    )


def _gallery(name: str, number: int | None = None) -> Html:
    return tag("div", class_="gallery", data_list=name, data_number=number)


def _dropped(contents: Contents) -> Html:
    if contents.run.stages is None:
        # Why, names folders of this machine: that is for whoever makes the report, not for who reads it.
        return tag("p", "Dropped samples were not at hand when this report was made.", class_="lead")
    parts = []
    for i, group in enumerate(contents.groups):
        shown = len(group.entries)
        count = f"{group.total:,}"
        if not shown:
            count += "; not at hand, for code or recipe have changed since. `pipeline run` makes them again."
        elif shown < group.total:
            count += f", of which {shown} drawn by lot"
        heading = tag("h3", tag("span", group.step, class_="stage"), " ", group.reason)
        parts.append(
            tag("div", heading, tag("p", count, class_="count"), _gallery("dropped", i), class_="group")
        )
    return join(*parts) if parts else tag("p", "Nothing was dropped.", class_="lead")


def _footer(contents: Contents) -> Iterator[Html]:
    versions = contents.run.versions
    made = [
        (step, ", ".join(f"{k} {v}" for k, v in found.items())) for step, found in versions.items() if found
    ]
    if made:
        pairs = (join(tag("dt", step), tag("dd", text)) for step, text in made)
        yield tag("h2", "Made with")
        yield tag("dl", *pairs, class_="tree")
    if contents.fingerprint:
        yield tag("p", f"gritmill · dataset {contents.fingerprint}")

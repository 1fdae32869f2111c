"""The scores of an evaluation as `pipeline eval` prints them."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gritmill.trainer.metrics import Score
from gritmill.trainer.metrics_file import Report, TaskResult
from gritmill.trainer.published import Beside, beside

BASELINES = ("best constant box", "shuffled boxes")
"""Those that are printed; metrics.json has all."""

_EXPLAINED = (
    "All times 100, with the 95 % interval of other images. Ceiling: what perfect answers score after the "
    "rounding of {dialect}. Constant: the one box that hits most; shuffled: the true boxes on other "
    "questions; neither needs a look at the image. Unparsable answers count as wrong, those of a judge do "
    "not count."
)


def score_table(report: Report) -> RenderableType:
    """Scores with their baselines, the breakdown, published scores beside ours, and what is missing."""
    parts: list[RenderableType] = [_scores(report.results)]
    if any(_is_part(score) for result in report.results for score in result.scores):
        parts += [Text("\nBy size of the box, length of the phrase, or category"), _breakdown(report.results)]
    found = [
        line for result in report.results for score in result.scores for line in beside(result.name, score)
    ]
    if found:
        parts += [Text("\nPublished, under the same protocol"), _published(found)]
    parts.append(Text("\n" + _EXPLAINED.format(dialect=report.about.get("dialect", "the dialect"))))
    parts += [Text(line) for line in _notes(report.results, found)]
    return Group(*parts)


def score_markdown(report: Report) -> str:
    """The scores of whole sets as a Markdown table, for reports and cards.

    | set | protocol | score | interval | ceiling | best constant box | questions |
    |---|---|---:|---:|---:|---:|---:|
    | validation | rec/first_box@0.5 | 63.1 | 60.2-65.9 | 99.1 | 4.2 | 812 |
    """
    constant = BASELINES[0]
    rows = [
        f"| set | protocol | score | interval | ceiling | {constant} | questions |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in report.results:
        for score in (score for score in result.scores if not _is_part(score)):
            named = result.baselines.get(score.protocol, {})
            cells = [
                result.name,
                score.protocol,
                _percent(score.value),
                _interval(score),
                "" if score.ceiling is None else _percent(score.ceiling),
                _percent(named[constant].value) if constant in named else "",
                f"{score.n:,}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _scores(results: Sequence[TaskResult]) -> Table:
    table = _table("set", "protocol")
    for name in ("score", "interval", "ceiling", "constant", "shuffled"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        for score in result.scores:
            if not _is_part(score):
                named = result.baselines.get(score.protocol, {})
                baselines = [_percent(named[name].value) if name in named else "" for name in BASELINES]
                table.add_row(
                    Text(result.name),
                    Text(score.protocol),
                    Text(_percent(score.value), style="bold"),
                    _interval(score),
                    "" if score.ceiling is None else _percent(score.ceiling),
                    *baselines,
                )
        for protocol in result.missing:
            table.add_row(Text(result.name), Text(protocol), "missing", *[""] * 4)
    return table


def _breakdown(results: Sequence[TaskResult]) -> Table:
    table = _table("set", "protocol")
    for name in ("score", "interval", "ceiling", "questions"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        for score in filter(_is_part, result.scores):
            ceiling = "" if score.ceiling is None else _percent(score.ceiling)
            cells = [_percent(score.value), _interval(score), ceiling, f"{score.n:,}"]
            table.add_row(Text(result.name), Text(score.protocol), *cells)
    return table


def _published(found: Sequence[Beside]) -> Table:
    table = _table("set", "protocol", "model")
    for name in ("score", "ours"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("trained on it")
    table.add_column("source", overflow="fold")
    for line in found:
        entry = line.published
        told = entry.source if entry.verified else f"{entry.source} (from memory, not verified)"
        cells = [f"{entry.scores[line.set]:g}", _percent(line.ours.value), entry.trained]
        names = (line.set, entry.protocol, entry.model)
        table.add_row(*map(Text, names), *cells, Text(f"{told}; {entry.note}" if entry.note else told))
    return table


def _notes(results: Sequence[TaskResult], found: Sequence[Beside]) -> list[str]:
    notes: dict[str, None] = {}
    for result in results:
        asked = result.questions
        unparsable = max((score.unparsable for score in result.scores if not _is_part(score)), default=0)
        notes[
            f"{result.name} {result.task}: {asked['n']:,} questions on {asked['images']:,} images, "
            f"{unparsable / asked['n']:.1%} of the answers unparsable."
        ] = None
        if asked["of"] > asked["n"]:
            notes[f"{result.name}: {asked['n']:,} of {asked['of']:,} questions of {result.task}."] = None
        if asked["bad_images"]:
            bad = f"{asked['bad_images']:,} of {asked['images']:,} images cannot be read"
            notes[f"{result.name}: {bad}; their questions count as wrong."] = None
        for protocol, reason in result.missing.items():
            notes[f"{result.name}: {protocol} is missing. {reason}"] = None
    for line in found:
        if line.warning:
            notes[f"{line.set}: {line.warning}. They do not compare."] = None
    return list(notes)


def _is_part(score: Score) -> bool:
    return score.protocol.endswith("]")


def _table(*names: str) -> Table:
    """Long names give way on a narrow terminal, though not letter by letter."""
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", min_width={"set": 10, "protocol": 18}.get(name))
    return table


def _percent(value: float) -> str:
    return f"{value * 100:.1f}"


def _interval(score: Score) -> str:
    return f"{_percent(score.interval.low)}-{_percent(score.interval.high)}" if score.interval else ""

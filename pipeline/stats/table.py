"""The numbers as rows, for a terminal and for a card."""

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gritmill.pipeline.stats.measure import Stats
from gritmill.pipeline.stats.published import published

_COMPARED = {
    "images": "images",
    "spans": "text spans",
    "boxes": "boxes",
    "words_per_span": "words per expression",
    "boxes_per_image": "boxes per image",
    "spans_per_image": "spans per image",
    "boxes_per_span": "boxes per span",
}
_CONCEPTS = 20
_LANGUAGES = 5
UNKNOWN = "-"

Rows = list[tuple[str, ...]]


def compared_rows(stats: Stats) -> Rows:
    """A header and, for each measure, our number and the published ones."""
    others = published()
    rows: Rows = [("", "this dataset", *(other.name for other in others))]
    for field, label in _COMPARED.items():
        rows.append((label, *(number(getattr(one, field)) for one in (stats, *others))))
    return rows


def own_rows(stats: Stats) -> Rows:
    """(measure, value) of what nothing was published for; no row where there is nothing to say."""
    rows: Rows = [
        ("samples", number(stats.samples)),
        ("words per caption", number(stats.words_per_caption)),
        ("expanded expressions", share(stats.expanded)),
        ("expressions within another", share(stats.nested)),
        ("box area, share of the image", quantiles(stats.area)),
        ("box score", quantiles(stats.score)),
        ("different concepts", number(len(stats.concepts)) if stats.concepts else UNKNOWN),
        (f"boxes of the {_CONCEPTS} most frequent", share(stats.coverage(_CONCEPTS))),
        ("most frequent concepts", ranking(stats.concepts, _CONCEPTS)),
        ("language of captions, by a guess", shares(stats.languages, _LANGUAGES)),
        ("captions that came before", number(stats.duplicate_captions)),
        ("images with the bytes of another", number(stats.duplicate_images)),
        ("samples with conversations", number(stats.conversations)),
        ("boxes found by", ranking(stats.box_models, _CONCEPTS)),
        ("conversations made by", ranking(stats.makers, _CONCEPTS)),
        ("conversations written by", ranking(stats.text_models, _CONCEPTS)),
        *((f"{name}, as measured", quantiles(found)) for name, found in stats.numbers.items()),
        *((f"{name}, as measured", ranking(found, _CONCEPTS)) for name, found in stats.words.items()),
        ("licences stated by the source", ranking(stats.licenses, _CONCEPTS)),
    ]
    return [row for row in rows if row[1] not in ("", UNKNOWN)]


def stats_table(stats: Stats) -> Group:
    """Both, for a terminal."""
    [header, *rows] = compared_rows(stats)
    beside = Table(title="Beside published datasets", title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(header):
        beside.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        beside.add_row(*row)
    own = Table(title="This dataset", title_justify="left", box=None, pad_edge=False, show_header=False)
    own.add_column()
    own.add_column(overflow="fold")
    for label, value in own_rows(stats):
        own.add_row(label, Text(value))
    sources = Text("\n".join(source_lines()), style="dim")
    return Group(beside, "", own, "", sources)


def source_lines() -> list[str]:
    """Where the published numbers come from, one line a source."""
    names: dict[str, list[str]] = {}
    for one in published():
        names.setdefault(one.source + ("" if one.verified else " (from memory)"), []).append(one.name)
    return [f"{', '.join(found)}: {source}" for source, found in names.items()]


def number(value: float | None) -> str:
    """`90,614,680`, `1.52`; `-` for what is not known."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def share(value: float | None) -> str:
    """`12.3%`."""
    return UNKNOWN if value is None else f"{value:.1%}"


def quantiles(found: Mapping[str, float]) -> str:
    """`5%: 0.0123, 25%: ...`, the share of the boxes that do not exceed the value."""
    return ", ".join(f"{float(q):.0%}: {value:.4g}" for q, value in found.items())


def shares(counts: Mapping[str, int], most: int) -> str:
    """`en 97.2%, de 1.5%, others 1.3% (of 2,000)`."""
    total = sum(counts.values())
    shown = list(counts.items())[:most]
    parts = [f"{printable(name)} {share(count / total)}" for name, count in shown]
    if rest := total - sum(count for _, count in shown):
        parts.append(f"others {share(rest / total)}")
    return f"{', '.join(parts)} (of {number(total)})" if parts else ""


def printable(text: str) -> str:
    """Control characters, which a terminal would obey, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def ranking(counts: Mapping[str, int], most: int) -> str:
    """`dog 31, cat 12, 7 others`."""
    shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(counts.items())[:most])
    return shown + (f", {len(counts) - most:,} others" if len(counts) > most else "")

"""`pipeline dialects`: every dialect with its spelling, and what its rounding costs."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import DIALECTS, Dialect
from gritmill.schemas.dialects.ceiling import PHOTOGRAPH, SIDES, Ceiling, ceiling
from gritmill.schemas.tables import brought

_BOX = Box(0.12, 0.25, 0.44, 0.82)

_EXPLAINED = (
    "\nPercent of boxes that keep an IoU of 0.5 / 0.75 / 0.9 when written and read again: no model can score "
    "more in that dialect. Boxes at random places, sides about these shares of the image's; "
    "what a crop cuts away is lost.\n"
)


def dialect_table() -> RenderableType:
    """Three tables: a box in each dialect, what its numbers mean, and the share of boxes that survive it."""
    width, height = PHOTOGRAPH
    spelling = _table("dialect", f"the same box of a {width}x{height} image")
    meaning = _table("dialect", "picture", "numbers")
    survival = _table("dialect", *(f"side {side:g}" for side in SIDES), right=True)
    for name, dialect in all_dialects().items():
        spelling.add_row(name, Text(dialect.encode_boxes([_BOX], PHOTOGRAPH)))
        meaning.add_row(name, dialect.geometry.name, str(dialect.numbers))
        survival.add_row(name, *(_shares(ceiling(dialect, side)) for side in SIDES))
    return Group(spelling, "", meaning, Text(_EXPLAINED), survival)


def all_dialects() -> dict[str, Dialect]:
    """Ours, and those of entry points."""
    return {**DIALECTS, **{name: found for name, _, found in brought(Dialect)}}


def _table(first: str, *others: str, right: bool = False) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _shares(measured: Ceiling) -> str:
    return " ".join(f"{share * 100:3.0f}" for share in (measured.at_50, measured.at_75, measured.at_90))

"""The rows that a step is given: what earlier steps let through, with the columns it reads."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gritmill.pipeline.engine.plan import Step
from gritmill.pipeline.engine.results import kept_rows, read_columns
from gritmill.pipeline.sources.images import StoredImage
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, from_arrow


class Inputs(NamedTuple):
    """Rows of a part, by their number in it (ascending), and their columns."""

    rows: list[int]
    columns: Columns


def last_with_rows(steps: Sequence[Step], number: int) -> Step:
    """The step whose kept rows step `number` is given."""
    return next(step for step in reversed(steps[:number]) if step.makes_rows)


def load_inputs(store: Store, steps: Sequence[Step], number: int, unit: str, reads: Sequence[str]) -> Inputs:
    """Columns come from the steps before that wrote them; only those asked for are read."""
    rows = kept_rows(store, last_with_rows(steps, number).result(unit))
    return Inputs(rows.tolist(), load_columns(store, steps, number, unit, reads, rows))


def load_columns(
    store: Store,
    steps: Sequence[Step],
    number: int,
    unit: str,
    reads: Sequence[str],
    rows: np.ndarray[Any, np.dtype[np.int32]],
) -> Columns:
    """The columns of certain rows, as they are before step `number`."""
    made_by = {column: writers(steps[:number], column) for column in reads}
    found: dict[tuple[Step, str], list[Any]] = {}
    for step in dict.fromkeys(step for some in made_by.values() for step in some):
        names = [column for column, some in made_by.items() if step in some]
        table = read_columns(store, step.result(unit), names)
        positions = np.searchsorted(table["_row"].to_numpy(), rows)
        table = table.take(positions)
        for name in names:
            found[step, name] = from_arrow(table[name], step.writes[name])
    columns = {name: _joined([found[step, name] for step in some]) for name, some in made_by.items()}
    if "image" in columns:
        columns["image"] = [StoredImage(ref) for ref in columns["image"]]
    return columns


def writers(steps: Sequence[Step], column: str) -> list[Step]:
    """The steps whose results make up a column, in order: the last that wrote all of it, and those that have
    appended to it since."""
    found: list[Step] = []
    for step in reversed(steps):
        if step.makes_rows and column in step.writes:
            found.append(step)
            if column not in step.appends:
                break
    return found[::-1]


def _joined(parts: list[list[Any]]) -> list[Any]:
    """The lists of each row one after another; what a single step wrote stays as it is."""
    if len(parts) == 1:
        return parts[0]
    return [[item for part in row if part is not None for item in part] for row in zip(*parts, strict=True)]

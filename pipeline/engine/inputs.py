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
    """Columns come from the last step before that wrote them; only those asked for are read."""
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
    sources: dict[Step, list[str]] = {}
    for column in reads:
        writers = (s for s in reversed(steps[:number]) if s.makes_rows and column in s.writes)
        sources.setdefault(next(writers), []).append(column)
    columns: Columns = {}
    for step, names in sources.items():
        table = read_columns(store, step.result(unit), names)
        positions = np.searchsorted(table["_row"].to_numpy(), rows)
        table = table.take(positions)
        for name in names:
            columns[name] = from_arrow(table[name], step.writes[name])
    if "image" in columns:
        columns["image"] = [StoredImage(ref) for ref in columns["image"]]
    return columns

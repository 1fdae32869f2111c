"""What is sent to a worker."""

from typing import Literal, NamedTuple

from gritmill.pipeline.engine.plan import Unit

Action = Literal["run", "blame", "merge", "decide"]

Rows = tuple[int, int]
"""`[start, stop)` positions among the rows that a step is given."""


class Task(NamedTuple):
    """One step on one part (or shard). The other actions serve parts whose worker died."""

    step: int
    unit: Unit
    action: Action = "run"
    """`run` the step, `blame` rows for the death of their worker, `merge` the pieces of a part,
    `decide` for all parts."""
    rows: Rows | None = None
    """Only this slice of the part; None is all of it."""
    pieces: tuple[Rows, ...] = ()
    """The slices to merge, in order."""


PIECE = ".piece"


def piece_name(folder: str, unit: str, rows: Rows) -> str:
    """The file with the result of a slice, until the slices are merged."""
    return f"{folder}/{unit}.{rows[0]:09d}-{rows[1]:09d}{PIECE}"

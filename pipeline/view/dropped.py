"""The samples that a run dropped, from the results in its work folder."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow.compute as pc

from gritmill.pipeline.engine.inputs import load_columns
from gritmill.pipeline.engine.plan import Layout, columns_before
from gritmill.pipeline.engine.results import SUFFIX, read_columns
from gritmill.pipeline.gallery import GalleryEntry
from gritmill.pipeline.gallery.from_record import COLUMNS, from_dropped
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.view.listing import Label, SampleListing
from gritmill.pipeline.view.records import measured_size
from gritmill.schemas.columns import Columns

_READ: dict[str, Any] = COLUMNS | {"width": int, "height": int}


class DroppedRow(NamedTuple):
    """A row of a part that a step did not let through."""

    part: str
    row: int
    step: int
    reason: str
    value: str
    threshold: str


class DroppedSamples(SampleListing[DroppedRow]):
    """Everything that was rejected or failed, by part and step."""

    def __init__(self, plan: Layout, work: Store) -> None:
        super().__init__()
        self._steps = plan.steps
        self._work = work
        self._columns = lru_cache(maxsize=8)(self._read_columns)

    def find(self) -> Iterator[DroppedRow | None]:
        there = {step.folder: set(self._work.names(step.folder)) for step in self._steps}
        for name in sorted(there[self._steps[0].folder]):
            if not name.endswith(SUFFIX):  # receipts lie there, too
                continue
            part = name.removesuffix(SUFFIX)
            for number, step in enumerate(self._steps):
                if step.makes_rows and name in there[step.folder]:
                    yield from self._in_result(part, number)

    def label(self, number: int) -> Label:
        row = self.rows[number]
        return Label(stage=self._steps[row.step].name, reason=row.reason)

    def entry(self, number: int) -> GalleryEntry:
        row = self.rows[number]
        stage = self._steps[row.step].name
        return from_dropped(self._sample(row), None, stage, row.reason, row.value, row.threshold)

    def size(self, number: int) -> tuple[int, int]:
        sample = self._sample(self.rows[number])
        if sample.get("width") and sample.get("height"):
            return sample["width"], sample["height"]
        return measured_size(self.image(number))

    def image(self, number: int) -> bytes:
        image = self._sample(self.rows[number])["image"]
        if image is None:
            raise OSError("what was dropped has no image")
        return bytes(image.read())

    def _in_result(self, part: str, number: int) -> Iterator[DroppedRow | None]:
        columns = ["_reason", "_value", "_threshold", "_failed"]
        table = read_columns(self._work, self._steps[number].result(part), columns)
        dropped = table.filter(pc.is_valid(table["_reason"]))
        yield None
        for row in dropped.to_pylist():
            reason = f"failed: {row['_reason']}" if row["_failed"] else row["_reason"]
            yield DroppedRow(part, row["_row"], number, reason, row["_value"], row["_threshold"])

    def _sample(self, row: DroppedRow) -> dict[str, Any]:
        rows, columns = self._columns(row.part, row.step)
        place = rows[row.row]
        sample = {name: values[place] for name, values in columns.items()}
        # What is no sample at all, such as the rest of a broken tar, has no image.
        if sample["image"] and not sample["image"].ref:
            sample["image"] = None
        return sample

    def _read_columns(self, part: str, number: int) -> tuple[dict[int, int], Columns]:
        """The columns of all rows of a part that a step dropped, and each row's place in them."""
        table = read_columns(self._work, self._steps[number].result(part), ["_reason"])
        rows = table.filter(pc.is_valid(table["_reason"]))["_row"].to_numpy()
        before = max(number, 1)  # of what the source itself drops, its own columns are known
        have = columns_before(self._steps, before)
        reads = [name for name, kind in _READ.items() if have.get(name) == kind]
        columns = load_columns(self._work, self._steps, before, part, reads, rows)
        return {int(row): place for place, row in enumerate(rows)}, columns

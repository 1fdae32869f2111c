"""Some of the samples that each stage dropped for each reason, as they were when it did."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from gritmill.pipeline.engine.inputs import load_columns
from gritmill.pipeline.engine.plan import Step, Unit, columns_before
from gritmill.pipeline.engine.results import read_columns
from gritmill.pipeline.gallery.entry import GalleryEntry
from gritmill.pipeline.gallery.from_record import COLUMNS, from_dropped
from gritmill.pipeline.report.choice import Choice, Lottery
from gritmill.pipeline.report.run import ReportedRun, Stages
from gritmill.pipeline.report.thumbnails import Thumbnails


class Drop(NamedTuple):
    """A row that a step dropped."""

    unit: Unit
    row: int
    reason: str
    value: str
    threshold: str


class Group(NamedTuple):
    """Samples that a step dropped for one reason."""

    step: str
    reason: str
    total: int
    """How many there are in all."""
    entries: list[GalleryEntry]


def dropped(run: ReportedRun, choice: Choice, thumbnails: Thumbnails) -> list[Group]:
    """In the order of the steps, the most frequent reason first; empty where the results are not at hand."""
    if run.stages is None or not choice.dropped:
        return []
    groups = []
    for number, step in enumerate(run.stages.plan.steps):
        if not step.makes_rows or step.name not in run.funnel:
            continue
        chosen = _chosen(run.stages, step, choice) if run.funnel[step.name].reasons() else {}
        for reason, count in run.funnel[step.name].reasons():
            drops = chosen.get(reason, [])
            entries = [_entry(run.stages, number, drop, thumbnails) for drop in drops]
            groups.append(Group(step.name, reason, count, entries))
    return groups


def _chosen(stages: Stages, step: Step, choice: Choice) -> dict[str, list[Drop]]:
    lots: dict[str, Lottery[Drop]] = {}
    for drop in _drops(stages, step):
        lot = lots.setdefault(drop.reason, Lottery(choice.dropped, choice.seed))
        lot.add(f"{drop.unit.id}:{drop.row}", drop)
    return {reason: lot.winners() for reason, lot in lots.items()}


def _drops(stages: Stages, step: Step) -> Iterator[Drop]:
    there = set(stages.work.names(step.folder))
    for unit in stages.plan.parts:
        name = step.result(unit.id)
        if name.rpartition("/")[2] not in there:
            continue
        table = read_columns(stages.work, name, ["_reason", "_value", "_threshold", "_failed"])
        for row in table.filter(pc.is_valid(table["_reason"])).to_pylist():
            reason = f"failed: {row['_reason']}" if row["_failed"] else row["_reason"]
            yield Drop(unit, row["_row"], reason, row["_value"], row["_threshold"])


def _entry(stages: Stages, number: int, drop: Drop, thumbnails: Thumbnails) -> GalleryEntry:
    sample = _sample(stages, max(number, 1), drop)
    ref = sample["image"].ref if sample["image"] else None
    image = thumbnails.of(ref) if ref else None
    step = stages.plan.steps[number]
    return from_dropped(sample, image, step.name, drop.reason, drop.value, drop.threshold)


def _sample(stages: Stages, number: int, drop: Drop) -> dict[str, Any]:
    """The columns that are shown, as they were before a step. Of what the source itself dropped some are
    None."""
    steps: Sequence[Step] = stages.plan.steps
    names = [name for name, kind in columns_before(steps, number).items() if COLUMNS.get(name) == kind]
    rows = np.array([drop.row], np.int32)
    columns = load_columns(stages.work, steps, number, drop.unit.id, names, rows)
    return {name: values[0] for name, values in columns.items()}

"""A sample's whole story: what each step found, and where and why it was dropped."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from gritmill.pipeline.engine.inputs import writers
from gritmill.pipeline.engine.plan import Layout, Unit
from gritmill.pipeline.engine.results import read_columns, read_result
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.errors import UserError


@dataclass(frozen=True)
class Chapter:
    """What one step did to a sample."""

    step: str
    verdict: str
    """`kept`, `passed` (kept, though the step had nothing to append to it), `rejected`, `failed`, or
    `not run yet`."""
    reason: str = ""
    value: str = ""
    threshold: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    """What the step wrote for it."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the step was told: thresholds and the like."""
    replaced: tuple[str, ...] = ()
    """The steps before whose conversations it drops."""


@dataclass(frozen=True)
class Story:
    """All that is known of one sample."""

    key: str
    part: str
    row: int
    chapters: list[Chapter]


def tell(plan: Layout, work: Store, key: str) -> list[Story]:
    """The stories of all samples with this key (or of this image). Raises `UserError` for none."""
    stories = [
        Story(found, unit.id, row, list(_chapters(plan, work, unit, row)))
        for unit, row, found in _find(plan, work, key)
    ]
    if not stories:
        raise UserError(
            f"no sample with key or image id {key!r} has been read; `pipeline status` says how far the run is"
        )
    return stories


def _find(plan: Layout, work: Store, key: str) -> Iterator[tuple[Unit, int, str]]:
    source = plan.steps[0]
    there = set(work.names(source.folder))
    for unit in plan.parts:
        name = source.result(unit.id)
        if name.rpartition("/")[2] in there:
            table = read_columns(work, name, ["key", "image_id"])
            hit = pc.or_kleene(pc.equal(table["key"], key), pc.equal(table["image_id"], key))
            for row in table.filter(hit).to_pylist():
                yield unit, row["_row"], row["key"]


def _chapters(plan: Layout, work: Store, unit: Unit, row: int) -> Iterator[Chapter]:
    for number, step in enumerate(plan.steps):
        if not step.makes_rows:
            continue
        name = step.result(unit.id)
        if not work.exists(name):
            yield Chapter(step.name, "not run yet")
            return
        table = read_result(work, name)
        [found] = table.filter(pc.equal(table["_row"], row)).to_pylist()
        columns = {column: found[column] for column in step.writes if found[column] is not None}
        if found["_reason"] is not None:
            verdict = "failed" if found["_failed"] else "rejected"
            why = (found["_reason"], found["_value"], found["_threshold"])
            yield Chapter(step.name, verdict, *why, columns, dict(step.options))
            return
        verdict = "passed" if found["_passed"] is not None else "kept"
        why = (found["_passed"] or "", found["_value"] or "", found["_threshold"] or "")
        yield Chapter(step.name, verdict, *why, columns, dict(step.options), _replaced(plan, number))


def _replaced(plan: Layout, number: int) -> tuple[str, ...]:
    """The steps that made the conversations which `replace` drops."""
    step = plan.steps[number]
    if step.options.get("replace") is not True:
        return ()
    told = [column for column, kind in step.writes.items() if kind == list[Conversation]]
    return tuple(one.name for column in told for one in writers(plan.steps[:number], column))

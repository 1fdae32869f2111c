"""What a run would do, has done and still needs; loads no model and starts nothing."""

from dataclasses import dataclass

from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.plan import Layout, Parts, Resources, Shards
from gritmill.pipeline.engine.receipts import Total
from gritmill.pipeline.engine.sketches import read_shards
from gritmill.pipeline.storage.store import Store


@dataclass(frozen=True)
class StepStatus:
    """How far one step is."""

    name: str
    done: int
    units: int | None
    """Parts or shards; None for shards that are not known yet."""
    resources: Resources
    total: Total
    versions: dict[str, str]


def status(plan: Layout, work: Store) -> list[StepStatus]:
    """Every step that makes rows, and writing, with the sum of their receipts."""
    found = []
    for step in plan.steps:
        if step.kind == "sketch":
            continue
        names = work.names(step.folder)
        units: Parts | Shards | None = plan.parts
        if step.kind == "write":
            shards = read_shards(plan, work)
            units = None if shards is None else Shards(shards)
        ids = units.chosen(units.done(names)) if units else []
        total = Total()
        for receipt in Ledger(work, step.folder, names).receipts(ids):
            total.add(receipt)
        count = None if units is None else len(units)
        found.append(StepStatus(step.name, len(ids), count, step.resources, total, dict(step.versions)))
    return found

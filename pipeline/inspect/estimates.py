"""What the calls of a run will cost, from a few samples of the real source, before any call is made."""

import tempfile
from typing import Any, NamedTuple, Protocol, runtime_checkable

from rich.table import Table

from gritmill.pipeline.engine.inputs import load_inputs
from gritmill.pipeline.engine.plan import Parts, Plan, make_plan
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.run import limited
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError

SAMPLES = 40
"""So many, from the source's start, stand for all."""


@runtime_checkable
class Costly(Protocol):
    """A stage that pays for what it does."""

    def estimate(self, sample: Columns) -> Any:
        """Calls, tokens in, tokens out and cost (or None) for these samples."""
        ...


class Cost(NamedTuple):
    """What a stage is going to ask for all samples of a source.

    >>> Cost("generate", 8000, 6_496_000, 1_144_000, 27.68)
    """

    step: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    """In the recipe's currency; None where the recipe gives no prices."""


def estimate_cost(plan: Plan) -> Cost | None:
    """For the first stage that pays for calls; None if none does. Runs the stages before it on `SAMPLES`
    samples, here.

    Raises `UserError` where a stage before it must see all samples first.
    """
    number = next((n for n, step in enumerate(plan.steps) if isinstance(step.stage, Costly)), None)
    if number is None:
        return None
    parts = Parts.of(limited(plan.job, SAMPLES))
    few = make_plan(plan.job, parts)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        parts.save(store, few.parts_file)
        worker = Worker(few.steps, few.source, store, few.parts_file, store, [])
        sampled = 0
        for earlier, step in enumerate(few.steps[:number]):
            if step.kind not in ("source", "stage"):
                raise UserError(
                    f"{step.name} must see all samples first, so that nothing behind it can be estimated; "
                    "run the recipe with --limit to see what a few samples cost"
                )
            kept = sum(worker.run(Task(earlier, unit)).rows_out for unit in parts)
            sampled = kept if step.kind == "source" else sampled
        step = few.steps[number]
        assert step.stage is not None and isinstance(step.stage, Costly)
        inputs = [load_inputs(store, few.steps, number, unit.id, step.stage.reads) for unit in parts]
        costs = [step.stage.estimate(given.columns) for given in inputs if given.rows]
    return _scaled(step.name, costs, _all_samples(plan.job, plan.parts) / max(1, sampled))


def cost_table(cost: Cost) -> Table:
    """The estimate for a terminal."""
    table = Table(title="Estimated calls", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for name in ("calls", "tokens in", "tokens out", "cost"):
        table.add_column(name, justify="right")
    price = "no prices given" if cost.cost is None else f"{cost.cost:,.2f}"
    table.add_row(cost.step, f"{cost.calls:,}", f"{cost.tokens_in:,}", f"{cost.tokens_out:,}", price)
    return table


def _scaled(name: str, costs: list[Any], share: float) -> Cost:
    prices = [cost.cost for cost in costs]
    return Cost(
        name,
        round(share * sum(cost.calls for cost in costs)),
        round(share * sum(cost.tokens_in for cost in costs)),
        round(share * sum(cost.tokens_out for cost in costs)),
        None if None in prices or not prices else share * sum(prices),
    )


def _all_samples(job: Job, parts: Parts) -> float:
    """As the source says, else as many in each part as in the first."""
    hints = [unit.spec.get("rows") for unit in parts]
    if all(isinstance(hint, int) for hint in hints):
        return float(sum(hint for hint in hints if isinstance(hint, int)))
    return float(len(job.source.read(parts[0].spec)["key"]) * len(parts))

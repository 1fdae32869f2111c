"""`pipeline plan`: what a run would do."""

from typing import Any

from rich.table import Table

from gritmill.pipeline.commands.common import (
    LimitOption,
    RecipeArgument,
    SetOption,
    WorkOption,
    echo_remarks,
    last_run_of,
    planned,
)
from gritmill.pipeline.engine.terminal import console, echo


def plan(
    recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None, limit: LimitOption = None
) -> None:
    """Show what a run would do: parts, steps, what is done, weights to load, and the cost of calls.

    Of the folder of a run, what the run was going to do: its source and its models are not looked at.
    """
    from gritmill.pipeline.engine.recipes import find_recipe

    if find_recipe(recipe).in_folder:
        layout, store = last_run_of(recipe, set_, work)
        _show_steps(recipe, layout, store, {})
        return
    the_plan, store = planned(recipe, set_, work, limit)
    from gritmill.pipeline.engine.reasons import reasons
    from gritmill.pipeline.inspect.estimates import cost_table, estimate_cost
    from gritmill.pipeline.inspect.weights import weights_of

    _show_steps(the_plan.job.name, the_plan, store, reasons(the_plan, store))
    if found := weights_of(the_plan.job):
        echo()
        echo("Weights")
        for line in (line for one in found for line in one.lines()):
            echo(line)
    echo_remarks(the_plan.job)
    if cost := estimate_cost(the_plan):
        echo()
        console.print(cost_table(cost))


def _show_steps(name: str, the_plan: Any, store: Any, why: dict[str, str]) -> None:
    from gritmill.pipeline.inspect.status import status as look

    hints = [unit.spec.get("rows") for unit in the_plan.parts]
    known = sum(h for h in hints if isinstance(h, int))
    rows = f", at least {known:,} samples" if known else ""
    echo(f"{name}: {len(the_plan.parts):,} parts{rows}, work in {store.root}")
    steps = look(the_plan, store)
    identities = {step.name: step.identity for step in the_plan.steps}
    table = Table(box=None, pad_edge=False)
    for name in ("step", "identity", "done", "to do", "cpus", "gpus"):
        table.add_column(name, justify="left" if name in ("step", "identity") else "right", no_wrap=True)
    for step in steps:
        todo = "after sharding" if step.units is None else f"{step.units - step.done:,}"
        gpus = "if any" if step.resources.gpus < 0 else f"{step.resources.gpus:g}"
        cpus = f"{step.resources.cpus:g}"
        table.add_row(step.name, identities[step.name][:8], f"{step.done:,}", todo, cpus, gpus)
    console.print(table)
    echo()
    left = {step.name for step in steps if step.units is None or step.done < step.units}
    for name, reason in why.items():
        if name in left:
            echo(f"{name} runs again: {reason}")
    for step in steps:
        if step.versions:
            versions = ", ".join(f"{k} {v}" for k, v in step.versions.items())
            echo(f"{step.name}: {versions}")

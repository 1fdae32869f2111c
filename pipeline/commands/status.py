"""`pipeline status`: how far a run is."""

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, WorkOption, last_run_of
from gritmill.pipeline.engine.terminal import console, echo


def status(recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None) -> None:
    """Show how far a run is, and its funnel so far."""
    the_plan, store = last_run_of(recipe, set_, work)
    from gritmill.pipeline.engine.funnel import funnel_table
    from gritmill.pipeline.inspect.status import status as look

    steps = look(the_plan, store)
    for step in steps:
        units = "?" if step.units is None else f"{step.units:,}"
        echo(f"{step.name:<24} {step.done:>9,} of {units} done, {step.total.seconds:,.0f} s of work")
    echo()
    console.print(funnel_table({step.name: step.total for step in steps}))

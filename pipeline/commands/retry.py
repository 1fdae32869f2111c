"""`pipeline retry`: forget failures that may have passed."""

from typing import Annotated

import typer

from pipeline.commands.common import LimitOption, RecipeArgument, SetOption, WorkOption, planned
from pipeline.terminal import echo


def retry(
    recipe: RecipeArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Rejects to try again, besides rows that failed.  [default: server_error]"),
    ] = None,
    set_: SetOption = None,
    work: WorkOption = None,
    limit: LimitOption = None,
) -> None:
    """Forget failures that may have passed, such as a server that was down; the next run tries again."""
    the_plan, store = planned(recipe, set_, work, limit)
    from pipeline.lock import locked
    from pipeline.retry import PASSING, forget

    with locked(store):
        forgotten = forget(the_plan, store, reason or PASSING)
    for step in forgotten:
        echo(f"{step.step}: {step.rows:,} rows in {step.parts:,} parts will be tried again")
    echo(f"now: pipeline run {recipe}" if forgotten else "nothing failed for such a reason")

"""`pipeline retry`: forget failures that may have passed."""

from typing import Annotated

import typer

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, WorkOption, last_run_of
from gritmill.pipeline.engine.terminal import echo


def retry(
    recipe: RecipeArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Rejects to try again, besides rows that failed.  [default: server_error]"),
    ] = None,
    set_: SetOption = None,
    work: WorkOption = None,
) -> None:
    """Forget failures that may have passed, such as a server that was down; the next run tries again."""
    the_plan, store = last_run_of(recipe, set_, work)
    from gritmill.pipeline.engine.retry import PASSING, forget
    from gritmill.pipeline.storage.lock import locked

    with locked(store):
        forgotten = forget(the_plan, store, reason or PASSING)
    for step in forgotten:
        echo(f"{step.step}: {step.rows:,} rows in {step.parts:,} parts will be tried again")
    from gritmill.pipeline.engine.recipes import find_recipe

    found = find_recipe(recipe)
    again = found.place if found.in_folder else recipe
    echo(f"now: pipeline run {again}" if forgotten else "nothing failed for such a reason")

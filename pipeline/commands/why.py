"""`pipeline why`: one sample's story."""

from typing import Annotated

import typer

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, WorkOption, last_run_of
from gritmill.pipeline.engine.terminal import echo


def why(
    key: Annotated[str, typer.Argument(help="Key of a sample, or id of an image.")],
    recipe: RecipeArgument,
    set_: SetOption = None,
    work: WorkOption = None,
) -> None:
    """Tell a sample's whole story: what each stage found, why it was kept or dropped."""
    the_plan, store = last_run_of(recipe, set_, work)
    from gritmill.pipeline.inspect.why import tell
    from gritmill.pipeline.inspect.why_text import story_lines

    for story in tell(the_plan, store, key):
        for line in story_lines(story):
            echo(line)

"""`pipeline why`: one sample's story."""

from typing import Annotated

import typer

from pipeline.commands.common import RecipeArgument, SetOption, WorkOption, last_run_of
from pipeline.terminal import echo


def why(
    key: Annotated[str, typer.Argument(help="Key of a sample, or id of an image.")],
    recipe: RecipeArgument,
    set_: SetOption = None,
    work: WorkOption = None,
) -> None:
    """Tell a sample's whole story: what each stage found, why it was kept or dropped."""
    the_plan, store = last_run_of(recipe, set_, work)
    from pipeline.why import tell
    from pipeline.why_text import story_lines

    for story in tell(the_plan, store, key):
        for line in story_lines(story):
            echo(line)

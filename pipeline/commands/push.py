"""`pipeline push`: upload the dataset."""

from typing import Annotated

import typer

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, need
from gritmill.pipeline.engine.terminal import echo


def push(
    recipe: RecipeArgument,
    repo: Annotated[str, typer.Option(help="Where to on the Hugging Face Hub: `user/name`.")],
    private: Annotated[bool, typer.Option("--private", help="For nobody else to see.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even where `verify`, licence, card or repository speak against it."),
    ] = False,
    set_: SetOption = None,
) -> None:
    """Upload what has changed to the Hub, tagged with the files' digest; goes on after a cut."""
    from gritmill.pipeline.engine.recipes import find_run_files
    from gritmill.pipeline.push import push as upload

    need("huggingface_hub", "hub", "which speaks to the Hub")
    done = upload(find_run_files(recipe, set_ or []), repo, private, dry_run, force, echo)
    echo(f"{done.url} ({done.tag})")

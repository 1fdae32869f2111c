"""`pipeline clean`: remove results that no step of a recipe uses any more."""

from gritmill.pipeline.commands.common import RecipeFileArgument, SetOption, WorkOption
from gritmill.pipeline.engine.terminal import echo


def clean(recipe: RecipeFileArgument, set_: SetOption = None, work: WorkOption = None) -> None:
    """Remove results that no step of the recipe uses any more, and those of older versions of gritmill."""
    from gritmill.pipeline.engine.clean import clean as remove
    from gritmill.pipeline.engine.recipes import read_recipe
    from gritmill.pipeline.engine.run import work_directory
    from gritmill.pipeline.storage.lock import locked
    from gritmill.pipeline.storage.store import Store

    job = read_recipe(recipe, set_ or [])
    store = Store(work_directory(job, work))
    if store.is_empty():
        echo(f"{store.root}: there is nothing to remove")
        return
    with locked(store):
        removed = remove(job, store)
    for one in removed:
        echo(f"removed {one.name}: {one.files:,} files, {one.bytes / 1e6:,.1f} MB")
    total = sum(one.bytes for one in removed) / 1e6
    told = f"{total:,.1f} MB removed" if removed else "there is nothing to remove"
    echo(f"{store.root}: {told}")

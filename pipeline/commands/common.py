"""Options, output and checks that commands share."""

import importlib.util
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gritmill.pipeline.engine.terminal import echo
from gritmill.schemas.errors import UserError

RecipeFileArgument = Annotated[
    str,
    typer.Argument(help="A recipe file, or one that comes along (such as `grit`)."),
]
RecipeArgument = Annotated[
    str,
    typer.Argument(help="A recipe file, one that comes along (such as `grit`), or the folder of a run."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Override an option: `source.images=DIR`, `stages.ground.score_threshold=0.1`.",
    ),
]
WorkOption = Annotated[
    str | None,
    typer.Option(help="Folder or URL of the results of the stages.  [default: the output folder + .work]"),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Take only this many samples, from the start."),
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="Put it in the place of another one that is finished there."),
]


def last_run_of(recipe: str, overrides: Sequence[str] | None, work: str | None) -> Any:
    """The layout of the last run of a recipe or folder, and the store that its results lie in."""
    from gritmill.pipeline.engine.last_run import last_run
    from gritmill.pipeline.engine.recipes import find_run_files
    from gritmill.pipeline.engine.run import work_directory
    from gritmill.pipeline.storage.store import Store

    store = Store(work_directory(find_run_files(recipe, overrides or []), work))
    return last_run(store), store


def planned(recipe: str, overrides: Sequence[str] | None, work: str | None, limit: int | None) -> Any:
    """The plan of a recipe, and the store that its results lie in."""
    from gritmill.pipeline.engine.last_run import check_scheme
    from gritmill.pipeline.engine.plan import Parts, make_plan
    from gritmill.pipeline.engine.recipes import load_recipe
    from gritmill.pipeline.engine.run import limited, work_directory
    from gritmill.pipeline.storage.store import Store

    job = load_recipe(recipe, overrides or [])
    store = Store(work_directory(job, work))
    check_scheme(store)
    return make_plan(job, Parts.of(limited(job, limit))), store


def echo_remarks(job: Any) -> None:
    """What stages have to say of a recipe in which nothing is wrong."""
    for named in job.stages:
        for remark in named.stage.remarks():
            echo(f"note: {named.name}: {remark}", err=True)


def need(package: str, extra: str, otherwise: str) -> None:
    """Raises `UserError`, which names the extra, if the package is not there."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed: pip install 'gritmill[{extra}]', {otherwise}")

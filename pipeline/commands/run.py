"""`pipeline run`: make the dataset."""

from enum import StrEnum
from typing import Annotated

import typer

from gritmill.pipeline.commands.common import (
    LimitOption,
    RecipeFileArgument,
    ReplaceOption,
    SetOption,
    WorkOption,
    echo_remarks,
    need,
)
from gritmill.pipeline.commands.evaluate import score_model
from gritmill.pipeline.commands.train import Engine, fit_model
from gritmill.pipeline.engine.terminal import console, echo
from gritmill.schemas.errors import UserError


class Next(StrEnum):
    """What may follow a run."""

    train = "train"
    eval = "eval"


class RunnerName(StrEnum):
    """Where tasks run."""

    ray = "ray"
    local = "local"


def run(
    recipe: RecipeFileArgument,
    set_: SetOption = None,
    runner: Annotated[
        RunnerName, typer.Option(help="`ray` uses all cores or a cluster; `local` stays in this process.")
    ] = RunnerName.ray,
    address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster, such as `auto` or `host:6379`.  [default: RAY_ADDRESS]"),
    ] = None,
    work: WorkOption = None,
    limit: LimitOption = None,
    replace: ReplaceOption = False,
    then: Annotated[
        str | None, typer.Option(metavar="train,eval", help="What to do with the dataset: train, then eval.")
    ] = None,
) -> None:
    """Make the dataset; what is there already is not made again."""
    following = _following(then)
    from gritmill.pipeline.engine.funnel import funnel_table
    from gritmill.pipeline.engine.progress import Progress
    from gritmill.pipeline.engine.recipes import load_recipe
    from gritmill.pipeline.engine.run import run as run_job
    from gritmill.pipeline.engine.run import work_directory
    from gritmill.pipeline.engine.runners.base import Runner
    from gritmill.pipeline.stale import drop_stale_pages
    from gritmill.pipeline.storage.store import Store

    job = load_recipe(recipe, set_ or [])
    echo_remarks(job)
    folder = work_directory(job, work)
    chosen: Runner
    if runner is RunnerName.ray:
        need("ray", "ray", "or use --runner local")
        from gritmill.pipeline.engine.runners.ray import RayRunner

        chosen = RayRunner(address)
    else:
        from gritmill.pipeline.engine.runners.local import LocalRunner

        chosen = LocalRunner()
    try:
        done = run_job(job, Store(folder), chosen, Progress(), limit, replace)
    except KeyboardInterrupt:
        echo(err=True)
        echo(f"Stopped. What is finished is kept in {folder}; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    for line in drop_stale_pages(Store(job.output.dir)):
        echo(line)
    console.print(funnel_table(done.totals))
    samples = done.totals["write"].rows_out
    echo()
    echo(f"{samples:,} samples in {len(done.shards):,} shards: {job.output.dir}")
    echo(f"report: {done.report}")
    echo(f"one sample's story: pipeline why KEY {folder}")
    if Next.train in following:
        echo()
        fit_model(job, Engine.torch, replace=replace)
    if Next.eval in following:
        echo()
        score_model(job, replace)


def _following(then: str | None) -> set[Next]:
    names = [name.strip() for name in then.split(",")] if then else []
    if unknown := [name for name in names if name not in set(Next)]:
        raise UserError(f"--then {then}: {unknown[0]!r} cannot follow a run; write --then train,eval")
    return {Next(name) for name in names}

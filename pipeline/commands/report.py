"""`pipeline report`: one page that shows a run."""

from typing import Annotated

import typer

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, WorkOption, need
from gritmill.pipeline.engine.terminal import echo


def report(
    recipe: RecipeArgument,
    samples: Annotated[int, typer.Option(min=0, help="Kept samples to show, drawn by lot.")] = 200,
    dropped: Annotated[int, typer.Option(min=0, help="Dropped samples to show for each reason.")] = 20,
    seed: Annotated[int, typer.Option(help="Another one draws other samples.")] = 0,
    set_: SetOption = None,
    work: WorkOption = None,
) -> None:
    """Write report.html beside the dataset: funnel, distributions, scores, samples kept and dropped."""
    need("vl_convert", "report", "which draws the charts")
    from gritmill.pipeline.report import Choice, find_run, write_report

    run = find_run(recipe, set_ or [], work)
    if run.missing:
        echo(f"Dropped samples are left out: {run.missing}.", err=True)
    echo(write_report(run, Choice(kept=samples, dropped=dropped, seed=seed)))

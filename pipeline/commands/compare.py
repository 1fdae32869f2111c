"""`pipeline compare`: two runs side by side."""

from typing import Annotated

import typer

from gritmill.pipeline.engine.terminal import console, echo


def compare(
    a: Annotated[str, typer.Argument(help="A finished run: its recipe or one of its folders.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Set two finished runs side by side: recipes, funnels, scores; nothing is run."""
    from gritmill.pipeline.inspect.compare import finished_run, funnel_comparison, recipe_table
    from gritmill.pipeline.training import score_comparison

    first, second = finished_run(a), finished_run(b)
    echo(f"A  {first.job.name}: {first.job.output.dir}")
    echo(f"B  {second.job.name}: {second.job.output.dir}")
    echo()
    for table in (recipe_table(first, second), funnel_comparison(first, second)):
        console.print(table)
        echo()
    console.print(score_comparison(first.job, second.job))

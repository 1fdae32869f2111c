"""`pipeline compare`: two runs side by side."""

from typing import Annotated

import typer

from pipeline.commands.common import console


def compare(
    a: Annotated[str, typer.Argument(help="A finished run: its recipe or one of its folders.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Set two finished runs side by side: recipes, funnels, scores; nothing is run."""
    from pipeline.compare import finished_run, funnel_comparison, recipe_table
    from pipeline.training import score_comparison

    first, second = finished_run(a), finished_run(b)
    typer.echo(f"A  {first.job.name}: {first.job.output.dir}")
    typer.echo(f"B  {second.job.name}: {second.job.output.dir}\n")
    for table in (recipe_table(first, second), funnel_comparison(first, second)):
        console.print(table)
        typer.echo()
    console.print(score_comparison(first.job, second.job))

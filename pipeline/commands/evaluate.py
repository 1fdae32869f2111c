"""`pipeline eval`: score a model."""

import sys
from typing import Any

import typer

from pipeline.commands.common import RecipeArgument, SetOption, console


def evaluate(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Score the trained model, or any other (`--set eval.model=ID`), on held-out and public sets."""
    from pipeline.recipes import load_recipe

    score_model(load_recipe(recipe, set_ or []))


def score_model(job: Any) -> None:
    """Scores, and prints the table."""
    from pipeline.training import eval_directory
    from pipeline.training import evaluate as score

    def say(name: str, done: int, of: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{name}: {done:,} of {of:,} questions", err=True, nl=done == of)

    report = score(job, say)
    from trainer.score_table import score_table

    console.print(score_table(report))
    typer.echo(f"\nmetrics and every answer: {eval_directory(job)}")

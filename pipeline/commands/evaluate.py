"""`pipeline eval`: score a model."""

from typing import Any

from gritmill.pipeline.commands.common import RecipeArgument, ReplaceOption, SetOption
from gritmill.pipeline.engine.terminal import console, echo, redraw


def evaluate(recipe: RecipeArgument, set_: SetOption = None, replace: ReplaceOption = False) -> None:
    """Score the trained model, or any other (`--set eval.model=ID`), on held-out and public sets."""
    from gritmill.pipeline.engine.recipes import find_run_files

    score_model(find_run_files(recipe, set_ or []), replace)


def score_model(job: Any, replace: bool = False) -> None:
    """Scores, and prints the table."""
    from gritmill.pipeline.training import eval_directory
    from gritmill.pipeline.training import evaluate as score

    def say(name: str, done: int, of: int) -> None:
        redraw(f"{name}: {done:,} of {of:,} questions", last=done == of)

    report = score(job, say, replace)
    from gritmill.trainer.score_table import score_table

    console.print(score_table(report))
    echo()
    echo(f"metrics and every answer: {eval_directory(job)}")

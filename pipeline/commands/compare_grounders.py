"""`pipeline compare-grounders`: which grounder to take."""

from typing import Annotated

import typer

from gritmill.pipeline.commands.common import LimitOption, RecipeFileArgument, SetOption
from gritmill.pipeline.engine.terminal import console, echo
from gritmill.pipeline.grounder_bench.truth import Truth


def compare_grounders(
    recipe: RecipeFileArgument,
    try_: Annotated[
        list[str] | None,
        typer.Option(
            "--try",
            metavar="GROUNDER",
            help="A grounder's name, or its options such as `{grounder: onnx, model: FILE}`; may be given "
            "again.  [default: the recipe's own]",
        ),
    ] = None,
    set_: SetOption = None,
    limit: LimitOption = None,
    truth: Annotated[
        Truth,
        typer.Option(
            help="`clear` judges phrases that leave no doubt which boxes are meant; `category` all that name "
            "a category, by all boxes of it."
        ),
    ] = Truth.clear,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Score from which boxes count.  [default: for each, that of the best F1]"
        ),
    ] = None,
    nms_iou: Annotated[
        float, typer.Option(min=0, max=1, help="A box of a phrase goes if it overlaps a better one by more.")
    ] = 0.5,
) -> None:
    """Set grounders side by side on images with boxes: recall, precision, speed, memory."""
    from gritmill.pipeline.grounder_bench.compare import compare_grounders as compare
    from gritmill.pipeline.grounder_bench.table import comparison_table, heading

    def say(title: str) -> None:
        echo(f"running {title}", err=True)

    samples, outcomes = compare(recipe, try_ or [], set_ or [], truth, min_score, nms_iou, limit, say)
    echo(heading(samples))
    console.print(comparison_table(samples, outcomes))
    for outcome in outcomes:
        for reason in sorted(set(outcome.answers.failed))[:3]:
            echo(f"{outcome.name}: {outcome.answers.failed.count(reason):,} samples failed: {reason}")

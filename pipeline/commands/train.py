"""`pipeline train`: fine-tune a model on the dataset."""

import os
from enum import StrEnum
from typing import Annotated, Any

import typer

from gritmill.pipeline.commands.common import RecipeArgument, ReplaceOption, SetOption, need
from gritmill.pipeline.engine.terminal import echo


class Engine(StrEnum):
    """What starts the processes of a training."""

    torch = "torch"
    ray = "ray"


def train(
    recipe: RecipeArgument,
    set_: SetOption = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="`torch` trains in this process, or in those of `torchrun -m gritmill train ...`; "
            "`ray` on a cluster."
        ),
    ] = Engine.torch,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster of `--engine ray`.  [default: RAY_ADDRESS]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of `--engine ray`.  [default: one for each GPU]"),
    ] = None,
    replace: ReplaceOption = False,
) -> None:
    """Train the recipe's model on its dataset; interrupted, it goes on where it was."""
    from gritmill.pipeline.engine.recipes import find_run_files

    fit_model(find_run_files(recipe, set_ or []), engine, address, workers, replace)


def fit_model(
    job: Any,
    engine: Engine,
    address: str | None = None,
    workers: int | None = None,
    replace: bool = False,
) -> None:
    """Trains, and says where model and log lie."""
    from gritmill.pipeline.engine.progress import training_line
    from gritmill.pipeline.training import train as fit
    from gritmill.pipeline.training import train_on_ray

    try:
        if engine is Engine.ray:
            need("ray", "ray", "or use --engine torch")
            trained = train_on_ray(job, address, workers, replace)
        else:
            trained = fit(job, lambda line: echo(training_line(line)), replace)
    except KeyboardInterrupt:
        echo(err=True)
        echo("Stopped. The same command goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    if os.environ.get("RANK", "0") != "0":
        return
    echo(f"{trained.steps:,} steps, {trained.samples:,} samples: {trained.model_dir}")
    if trained.left_out:
        echo(trained.left_out)
    echo(f"log: {trained.log}")

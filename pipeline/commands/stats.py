"""`pipeline stats`: count a dataset."""

import json
from typing import Annotated

import typer

from gritmill.pipeline.engine.terminal import console, echo_json


def stats(
    dataset: Annotated[str, typer.Argument(help="The folder or URL of a finished dataset.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Count images, phrases and boxes of a dataset, beside the published figures of GRIT and others."""
    from gritmill.pipeline.stats import dataset_stats, stats_table

    found = dataset_stats(dataset)
    if as_json:
        echo_json(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
    else:
        console.print(stats_table(found))

"""`pipeline verify`: check a webdataset."""

import json
from typing import Annotated

import typer

from gritmill.pipeline.engine.terminal import echo, echo_json


def verify(
    shards: Annotated[list[str], typer.Argument(help="Tars, globs, URLs, or the folder of a dataset.")],
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Shards checked at a time.  [default: one for each core]"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="List so many findings of each kind.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check any webdataset: images, members, spans, boxes, conversations, splits, checksums.

    Ends with status 0 where there are no errors (there may be warnings), with 1 where there are some.
    """
    from gritmill.pipeline.verify import render
    from gritmill.pipeline.verify import verify as check

    report = check(shards, jobs, limit)
    if as_json:
        echo_json(json.dumps(report.to_dict(), indent=1))
    else:
        for line in render(report).split("\n"):
            echo(line)
    if not report.ok:
        raise typer.Exit(1)

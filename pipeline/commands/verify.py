"""`pipeline verify`: check a webdataset."""

from typing import Annotated

import typer


def verify(
    shards: Annotated[list[str], typer.Argument(help="Tars, globs, URLs, or the folder of a dataset.")],
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Shards checked at a time.  [default: one for each core]"),
    ] = None,
) -> None:
    """Check any webdataset: images, members, spans, boxes, checksums."""
    from pipeline.verify import render
    from pipeline.verify import verify as check

    report = check(shards, jobs=jobs)
    typer.echo(render(report))
    if not report.ok:
        raise typer.Exit(1)

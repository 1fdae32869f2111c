"""`pipeline view`: look at a dataset in the browser."""

from typing import Annotated

import typer

from gritmill.pipeline.engine.terminal import echo


def view(
    shards: Annotated[
        str,
        typer.Argument(
            help="A run (its recipe or a folder of it), tars (path, glob, folder, URL), or a file of a "
            "format that `pipeline convert` reads."
        ),
    ],
    other: Annotated[
        str | None, typer.Argument(help="Another one, to see side by side what has changed.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Folder of the images that a file of another format names.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen. Whoever reaches another address than this sees the data.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8765,
) -> None:
    """Show a dataset in the browser: boxes, filters, what was dropped, two of them side by side."""
    from gritmill.pipeline.view import Server, Viewer, open_side

    sides = [open_side(name, images) for name in (shards, other) if name is not None]
    with Server(Viewer(sides), host, port) as server:
        for side in sides:
            for note in side.notes:
                echo(f"note: {side.name}: {note}", err=True)
        echo(f"{server.url}   Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo()

"""`pipeline convert`: a dataset in another format."""

from collections import Counter
from enum import StrEnum
from typing import Annotated

import typer

from gritmill.pipeline.commands.common import ReplaceOption
from gritmill.pipeline.engine.terminal import echo


class FormatName(StrEnum):
    """The formats of `pipeline/convert/registry.py`."""

    webdataset = "webdataset"
    parquet = "parquet"
    kosmos2 = "kosmos2"
    kosmos2_parquet = "kosmos2_parquet"
    llava = "llava"
    coco = "coco"
    refcoco = "refcoco"
    flickr30k = "flickr30k"
    odvg = "odvg"
    fiftyone = "fiftyone"
    label_studio = "label_studio"


def convert(
    source: Annotated[str, typer.Argument(help="The dataset: a file, a folder or a glob.")],
    target: Annotated[str, typer.Argument(help="A new folder for it.")],
    to: Annotated[
        FormatName, typer.Option(metavar="FORMAT", help=f"The format to write: {', '.join(FormatName)}.")
    ],
    came: Annotated[
        FormatName | None,
        typer.Option("--from", metavar="FORMAT", help="The format it is in.  [default: what it looks like]"),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="The folder of its images.  [default: where the format has them]"),
    ] = None,
    copy_images: Annotated[
        bool,
        typer.Option(
            " /--no-images", help="Name the images in the files, but do not copy them.", show_default=False
        ),
    ] = True,
    replace: ReplaceOption = False,
) -> None:
    """Write a dataset in another format, ours or not, and list what that format cannot say."""
    from gritmill.pipeline.convert.convert import LEFT_OUT
    from gritmill.pipeline.convert.convert import convert as write
    from gritmill.pipeline.convert.registry import FORMATS

    done = write(source, target, to.value, came.value if came else None, images, copy_images, replace)
    echo(f"{done.written:,} samples of {done.source} written as {to.value}: {target}")
    for title, counts, kind in (
        ("left out", done.losses.rows, "row"),
        ("left out of samples", done.losses.parts, "part"),
    ):
        _list(title, counts, done.losses.names, kind)
    if done.losses.rows or done.losses.parts:
        echo(f"all of them: {target}/{LEFT_OUT}")
    if loses := FORMATS[to.value].loses:
        echo()
        echo(f"{to.value} cannot say all of a sample:")
        for field, reason in loses.items():
            echo(f"  {field}: {reason}")


def _list(title: str, counts: Counter[str], names: dict[tuple[str, str], list[str]], kind: str) -> None:
    for reason, count in counts.most_common():
        named = names[kind, reason]
        more = ", ..." if count > len(named) else ""
        echo(f"  {title}: {count:,}, {reason} ({', '.join(named)}{more})")

"""`pipeline fingerprint-set`: a list of evaluation images, for the stage contamination."""

from pathlib import Path
from typing import Annotated

import typer

from gritmill.pipeline.engine.terminal import echo
from gritmill.schemas.errors import UserError

_SHOWN = 3


def fingerprint_set(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DIR|FILE",
            help="A folder of images, or a file about them: an id or file name a line, JSON, JSON lines.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The list.  [default: NAME.evaluation.jsonl]"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What reports call the set.  [default: the name of the folder or file]")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the images of a file lie, to find near copies, too."),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Of a file with splits, those to list; may be given again.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Questions and expressions of a file, too, against captions.")
    ] = False,
    names_are_ids: Annotated[
        bool,
        typer.Option(
            "--names-are-ids",
            help="Images of a folder are also told by their names without ending. COCO's always are.",
        ),
    ] = False,
) -> None:
    """Make a list of evaluation images, which the stage `contamination` keeps out of a dataset."""
    from gritmill.pipeline.evaluation_lists import of_annotations, of_images
    from gritmill.pipeline.storage import files
    from gritmill.pipeline.storage.store import Store
    from gritmill.stages.contamination import lists

    chosen = name or Path(what.rstrip("/")).stem
    if not files.exists(what):
        raise UserError(f"there is no {what}. Give a folder of images or a file of annotations.")
    if files.stat(what):
        made = of_annotations(what, chosen, split or (), texts, images)
    elif images or split or texts:
        raise UserError("--images, --split and --texts are for a file of annotations; leave them out.")
    else:
        made = of_images(what, chosen, names_are_ids)
    if not made.entries:
        raise UserError(f"no image of {what} can be told from others: {'; '.join(made.unreadable[:_SHOWN])}")
    path = Path(output or f"{chosen}.evaluation.jsonl")
    Store(str(path.parent)).write(path.name, lists.dumps(made.entries))
    echo(f"{path}: {made.counts()}")
    if made.missing:
        echo(f"{made.missing:,} listed images are not in {images} and are told by id alone", err=True)
    if made.plain:
        echo(f"{made.plain:,} images show too little to have a hash", err=True)
    if made.unreadable:
        first = "; ".join(made.unreadable[:_SHOWN])
        echo(f"{len(made.unreadable):,} images cannot be read: {first}", err=True)
    echo(f"in a recipe: - contamination: {{against: [{path}]}}")

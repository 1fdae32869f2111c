"""From one format to another: the samples pass one by one, and what could not be said is written down."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import Losses, Sample
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.whole import put_folder, temporary_name
from gritmill.schemas.errors import UserError

CONVERTED = ".converted"
"""In the folder: the names of all files that the conversion wrote, one a line."""
LEFT_OUT = "left_out.jsonl"
"""Beside the converted data: each row and part that was left out, with the reason."""


class Converted(NamedTuple):
    """What a conversion did."""

    source: str
    """The format that the data were in."""
    read: int
    """Samples that the source gave; rows that were none are in `losses`."""
    written: int
    losses: Losses


def convert(
    source: str,
    target: str,
    to: str,
    came: str | None = None,
    images: str | None = None,
    copy_images: bool = True,
    replace: bool = False,
) -> Converted:
    """Writes the data at `source` to the new folder `target`, which is there whole or not at all.

    `came` is the format of the source if it is not to be guessed. Raises `UserError` where nothing could
    be converted, or the target is there: only with `replace` is another conversion replaced, and never what
    somebody else has put there.
    """
    folder = Path(target)
    if not files.is_local(target):
        raise UserError(f"{target} is no folder of this machine; convert into one and copy it from there.")
    _check(folder, replace)
    came = came or sniff(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(folder)
    temporary.mkdir()
    count = 0

    def counted() -> Iterator[Sample]:
        nonlocal count
        for sample in read(source, came, losses, images):
            count += 1
            yield sample

    try:
        with (temporary / LEFT_OUT).open("w", encoding="utf-8") as notes:

            def note(kind: str, name: str, reason: str) -> None:
                notes.write(json.dumps({"kind": kind, "name": name, "reason": reason}) + "\n")

            losses = Losses(note)
            written = FORMATS[to].write(counted(), temporary, losses, copy_images)
        if not written:
            why = ", ".join(f"{reason} ({n:,})" for reason, n in losses.rows.most_common(3))
            raise UserError(f"nothing in {source} can be written as {to}: {why or 'it has no samples'}.")
        if not losses.rows and not losses.parts:
            (temporary / LEFT_OUT).unlink()
        (temporary / CONVERTED).write_text(
            "".join(f"{name}\n" for name in sorted(_files(temporary))), encoding="utf-8"
        )
        put_folder(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Converted(came, count, written, losses)


def _check(folder: Path, replace: bool) -> None:
    """Raises `UserError` where something is that somebody may want to keep."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CONVERTED).is_file():
        raise UserError(
            f"{folder} is there already and no conversion of ours; choose another folder, or remove it first"
        )
    written = (folder / CONVERTED).read_text(encoding="utf-8").splitlines()
    if others := sorted(_files(folder) - {CONVERTED, *written}):
        raise UserError(
            f"{folder} holds a conversion and files that are not of it, such as {others[0]}; choose another "
            "folder, or move them away"
        )
    if not replace:
        raise UserError(
            f"{folder} holds another conversion, of {len(written):,} files; choose another folder, or "
            "replace it with --replace"
        )


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}

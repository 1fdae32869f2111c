"""Samples in tars, or in folders of loose files: an image, a `.json` and perhaps a `.txt` of one name."""

import posixpath
from collections.abc import Iterator
from typing import Any, NamedTuple

from gritmill.pipeline.convert.reading import MAX_LINE, parse_object
from gritmill.pipeline.convert.records import from_record
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable
from gritmill.pipeline.sources.captions import MAX_CAPTION
from gritmill.pipeline.sources.images import MAX_BYTES
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.samples import IMAGES, sample_name, samples
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.pipeline.verify.locate import find_shards
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.errors import UserError


class Files(NamedTuple):
    """The files of a sample by extension."""

    stem: str
    members: dict[str, ImageRef]

    def json(self) -> dict[str, Any] | None:
        """The object in its `.json`; None without one, or if it holds anything else."""
        found = self.members.get("json")
        return parse_object(_content(found)) if found and found.length <= MAX_LINE else None

    def text(self) -> str | None:
        """What is in its `.txt`; None without one, or if that is no text."""
        found = self.members.get("txt")
        if not found or found.length > MAX_CAPTION:
            return None
        try:
            return _content(found).decode()
        except UnicodeDecodeError:
            return None

    def image(self) -> tuple[str, ImageRef] | None:
        """The extension of its first image, and where it lies."""
        found = ((e, ref) for e, ref in self.members.items() if e in IMAGES)
        return next((image for image in found if 0 < image[1].length <= MAX_BYTES), None)


def read_shards(path: str, losses: Losses) -> Iterator[Sample]:
    """The samples of tars or folders; one in memory at a time."""
    for found in find_samples(path, losses):
        raw = found.json()
        if raw is None:
            losses.row(found.stem, "no JSON object")
            continue
        try:
            extension, where = found.image() or ("", None)
            yield from_record({"caption": found.text()} | raw, found.stem, where, losses, extension)
        except Unusable as error:
            losses.row(found.stem, str(error))


def find_samples(path: str, losses: Losses) -> Iterator[Files]:
    """All samples below a path: of its tars, or of its loose files if there are no tars.

    Raises `UserError` if there are neither.
    """
    tars = find_tars(path)
    for tar in tars:
        try:
            yield from in_tar(tar)
        except (BrokenArchive, OSError) as error:
            losses.row(tar, f"the archive is damaged: {error}")
    if not tars:
        found = loose(path)
        first = next(found, None)
        if first is None:
            raise UserError(
                f"{path} has no samples; give a .tar file or a folder of them, or of .json files."
            )
        yield first
        yield from found


def find_tars(path: str) -> list[str]:
    """The tars of a path, glob or folder; empty if there are none."""
    try:
        return find_shards([path])
    except UserError:
        return []


def in_tar(tar: str) -> Iterator[Files]:
    """The samples of a tar."""
    with files.open_binary(tar) as file:
        for stem, members in samples(file):
            yield Files(stem, {name: ImageRef(tar, *place) for name, place in members.items()})


def loose(folder: str) -> Iterator[Files]:
    """The samples of a folder of files, by name; the names of all files are in memory."""
    found: dict[str, Files] = {}
    for name, file in files.walk(folder).items():
        stem, extension = sample_name(name)
        if stem:
            each = found.setdefault(stem, Files(posixpath.basename(stem), {}))
            each.members[extension] = ImageRef(file.uri, 0, file.size)
    yield from (each for each in found.values() if "json" in each.members)


def _content(where: ImageRef) -> bytes:
    try:
        return files.read_range(*where)
    except OSError:
        return b""

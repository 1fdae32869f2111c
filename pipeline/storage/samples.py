"""Samples in tars, as webdataset has them: neighbouring members whose names agree up to the first dot.

000373938.jpg  000373938.json  000373938.txt   ->   Sample("000373938", {"jpg": Place(512, 88210), ...})
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from gritmill.pipeline.storage.tars import members

IMAGES = frozenset(["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm"])
RECORD = "json"
TEXTS = frozenset(["txt", "text", "caption"])


class Place(NamedTuple):
    """`size` bytes at `offset` of the tar."""

    offset: int
    size: int

    def read(self, file: BinaryIO) -> bytes:
        """What is there, of the tar that the place is in."""
        file.seek(self.offset)
        return file.read(self.size)


NOWHERE = Place(0, 0)
"""Of a member that a sample lacks."""


class TarSample(NamedTuple):
    """Where the members of a sample lie, by extension."""

    stem: str
    """What their names have in common."""
    members: dict[str, Place]

    @property
    def image(self) -> Place:
        """The first image. A mask, `seg.png`, is none."""
        return self._first(IMAGES)

    @property
    def record(self) -> Place:
        return self.members.get(RECORD, NOWHERE)

    @property
    def text(self) -> Place:
        """The first text, which is a caption most of the time."""
        return self._first(TEXTS)

    def _first(self, extensions: frozenset[str]) -> Place:
        return next((place for name, place in self.members.items() if name in extensions), NOWHERE)


def samples(file: BinaryIO) -> Iterator[TarSample]:
    """The samples of an uncompressed tar, in order.

    An extension that comes again begins another sample. The file may be read elsewhere in between.
    Raises `BrokenArchive` after the last whole sample of a damaged archive (one that the damage ends may
    lack members), `UserError` for a compressed one.
    """
    stem, found = "", dict[str, Place]()
    for member in members(file):
        name, extension = sample_name(member.name)
        if not name:
            continue
        if name != stem or extension in found:
            if found:
                yield TarSample(stem, found)
            stem, found = name, {}
        found[extension] = Place(member.offset, member.size)
    if found:
        yield TarSample(stem, found)


def sample_name(member: str) -> tuple[str, str]:
    """The stem and extension of a member, without the `./` of `tar c .`; ("", "") for what is none of a
    sample, such as `__meta__.json`.

    >>> sample_name("./v1.0/00017.seg.PNG")
    ('v1.0/00017', 'seg.png')
    """
    stem, extension = split_name(member.removeprefix("./"))
    base = stem.rpartition("/")[2]
    is_meta = base.startswith("__") and base.endswith("__")
    return (stem, extension) if base and extension and not is_meta else ("", "")


def split_name(name: str) -> tuple[str, str]:
    """A member's name as webdataset and `datasets` take it apart, at the first dot behind the last slash.

    An empty stem stands for a name that they skip.

    >>> split_name("v1.0/00017.seg.PNG")
    ('v1.0/00017', 'seg.png')
    """
    folder, slash, base = name.rpartition("/")
    folder += slash
    stem, dot, extension = base.partition(".")
    if not dot or (not stem and "." in folder):
        return "", ""
    return (folder + stem, extension.lower()) if folder + stem else ("", "")

"""Samples of a webdataset shard: where in the tar their image and their record lie.

000373938.jpg  000373938.json  000373938.txt   ->   Located("000373938", Place(512, 88210), Place(...))
"""

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from gritmill.schemas.errors import UserError

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
RECORD = "json"
MAX_HEADER = 2**20
"""Bytes of a long name or a pax header; more is taken for damage."""
_BLOCK = 512
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


class Place(NamedTuple):
    """`size` bytes at `offset` of the tar."""

    offset: int
    size: int


NOWHERE = Place(0, 0)


class Located(NamedTuple):
    """A sample's members; `NOWHERE` for one that it lacks."""

    stem: str
    """What their names have in common, up to the first dot of the last part."""
    image: Place
    record: Place


class BrokenArchive(Exception):
    """The archive ends early or is damaged; what came before is good."""


def samples(file: BinaryIO) -> Iterator[Located]:
    """The samples of an uncompressed tar that have an image or a record, in order.

    Members of one stem that follow each other are a sample, as webdataset has it; a second image or
    record begins another. The file may be read elsewhere in between. Raises `BrokenArchive` after the
    last whole sample of a damaged archive, `UserError` for a compressed one.
    """
    stem = ""
    found: dict[str, Place] = {}
    for name, place in _members(file):
        folder, slash, base = name.removeprefix("./").rpartition("/")
        first, _, extension = base.partition(".")
        extension = extension.lower()
        kind = "image" if extension in IMAGES else "record" if extension == RECORD else ""
        if not kind or first.startswith("__"):
            continue
        if folder + slash + first != stem or kind in found:
            if found:
                yield _located(stem, found)
            stem, found = folder + slash + first, {}
        found[kind] = place
    if found:
        yield _located(stem, found)


def _located(stem: str, found: dict[str, Place]) -> Located:
    return Located(stem, found.get("image", NOWHERE), found.get("record", NOWHERE))


def _members(file: BinaryIO) -> Iterator[tuple[str, Place]]:
    """Names and places of the regular files; links, devices and folders are left out."""
    if file.read(6).startswith(_COMPRESSED):
        name = getattr(file, "name", None) or getattr(file, "path", "the shard")
        raise UserError(f"{name} is compressed, so that nothing in it can be found by its place. Unpack it.")
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    end = 0
    try:
        # The encoding must not depend on the machine's locale.
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", tarinfo=_Strict) as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # which it would keep for ever
                if member.offset < end:  # Python < 3.11.14 follows a negative size backwards
                    raise BrokenArchive(f"the header at byte {member.offset} is damaged")
                end = member.offset_data + member.size
                if not member.isreg() or member.issparse():
                    continue
                if end > size:
                    raise BrokenArchive(f"a member ends at byte {end} of {size}")
                yield member.name, Place(member.offset_data, member.size)
            # tarfile takes any end for the end; a whole archive has a block of zeros there.
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):
                raise BrokenArchive(f"no header and no end of the archive at byte {tar.offset} of {size}")
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BrokenArchive(f"damaged after byte {end} of {size}: {error}") from error


class _Strict(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Strict":
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in (b"x", b"g", b"L", b"K") and member.size > MAX_HEADER):
            raise ValueError(f"a header announces {member.size} bytes")
        return member

"""What lies where in a tar, from its headers alone."""

import os
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from gritmill.schemas.errors import UserError

_BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_OCTAL = re.compile(rb"[0-7]+[\0 ]*").fullmatch


class Member(NamedTuple):
    """A regular file in a tar: `size` bytes at `offset` of the archive. The name is only a name."""

    name: str
    offset: int
    size: int


class BrokenArchive(Exception):
    """The archive ends early or is damaged; what came before is good."""


def _plain_file(file: BinaryIO, offset: int) -> tuple[str, int] | None:
    """(name, size) where a header is that of a regular file with a short name and nothing unusual."""
    file.seek(offset)
    header = file.read(_BLOCK)
    if len(header) < _BLOCK or header[156:157] != b"0" or header[345]:
        return None
    name, size, checksum = header[:100].rstrip(b"\0"), header[124:136], header[148:156]
    if not _OCTAL(size) or not _OCTAL(checksum) or not name or b"\0" in name or name.endswith(b"/"):
        return None
    if int(checksum.rstrip(b"\0 "), 8) != sum(header) - sum(checksum) + 8 * ord(" "):
        return None
    return name.decode("utf-8", "surrogateescape"), int(size.rstrip(b"\0 "), 8)


def members(file: BinaryIO) -> Iterator[Member]:
    """The regular files of an uncompressed tar, in order; links, devices and folders are left out.

    The file may be read elsewhere between two members. Raises `BrokenArchive` after the last whole
    member of an archive that has no proper end, `UserError` for a compressed one.
    """
    head = file.read(6)
    for magic, kind in _COMPRESSED.items():
        if head.startswith(magic):
            raise UserError(
                f"{getattr(file, 'name', 'the archive')} is compressed with {kind}, "
                "so that images cannot be read from within it. Unpack it to a plain .tar."
            )
    size = file.seek(0, os.SEEK_END)
    end = 0
    # Most archives hold nothing but plain files, whose headers need no more than this.
    while plain := _plain_file(file, end):
        name, length = plain
        offset = end + _BLOCK
        if offset + length > size:
            raise BrokenArchive(f"a member ends at byte {offset + length} of {size}")
        yield Member(name, offset, length)
        end = offset + length + -length % _BLOCK
    file.seek(end)
    try:
        # The encoding must not depend on the machine's locale.
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
            for member in tar:
                # Python < 3.11.14 follows a negative size backwards, for ever.
                if member.offset < end or member.size < 0:
                    raise BrokenArchive(f"the header at byte {member.offset} is damaged")
                end = member.offset_data + member.size
                if end > size and member.isreg():
                    raise BrokenArchive(f"a member ends at byte {end} of {size}")
                if member.isreg() and not member.issparse():
                    yield Member(member.name, member.offset_data, member.size)
            # tarfile takes any end for the end; a whole archive has a block of zeros there.
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):
                raise BrokenArchive(f"no header and no end of the archive at byte {tar.offset} of {size}")
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise BrokenArchive(f"damaged after byte {end} of {size}: {error}") from error

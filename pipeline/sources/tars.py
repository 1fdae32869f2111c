"""What lies where in a tar, from its headers alone."""

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from schemas.errors import UserError

_BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Member(NamedTuple):
    """A regular file in a tar: `size` bytes at `offset` of the archive. The name is only a name."""

    name: str
    offset: int
    size: int


class BrokenArchive(Exception):
    """The archive ends early or is damaged; what came before is good."""


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
    file.seek(0)
    end = 0
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

"""What lies where in a tar, from its headers alone."""

import os
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from gritmill.schemas.errors import UserError

MAX_HEADER = 2**20
"""Bytes of a long name or a pax header; more is taken for damage."""
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


class StrictTarInfo(tarfile.TarInfo):
    """Makes `tarfile` say what it otherwise takes for the end of the archive: damage and cut-off files.

    Whatever is wrong with a header is a `tarfile.ReadError`.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "StrictTarInfo":
        info = super().frombuf(buf, encoding, errors)
        if info.type in (b"x", b"g", b"L", b"K") and not 0 <= info.size <= MAX_HEADER:
            raise tarfile.ReadError(f"an extended header of {info.size} bytes")
        return info

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "StrictTarInfo":
        try:
            info = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the two blocks of zeros
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("the file ends without an end mark") from error
        except (tarfile.HeaderError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise tarfile.ReadError(str(error)) from error
        if info.size < 0:  # Python < 3.11.14 follows it backwards, for ever
            raise tarfile.ReadError("a negative size")
        return info


def headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Everything in a tar, in order; `tarfile` itself would keep every header of the archive."""
    while (info := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]
        yield info


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
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", tarinfo=StrictTarInfo) as tar:
            for member in headers(tar):
                if not member.isreg() or member.issparse():
                    continue
                end = member.offset_data + member.size
                if end > size:
                    raise BrokenArchive(f"a member ends at byte {end} of {size}")
                yield Member(member.name, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise BrokenArchive(f"damaged after byte {end} of {size}: {error}") from error

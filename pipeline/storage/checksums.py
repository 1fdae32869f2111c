"""SHA-256 of files as they pass by, and `SHA256SUMS` as `sha256sum -c` reads it."""

import hashlib
import io
import posixpath
from collections.abc import Iterable, Mapping
from functools import cache
from typing import BinaryIO, NamedTuple

from gritmill.pipeline.storage import files

SUMS = "SHA256SUMS"
"""Of a folder: a dataset that has one is finished."""
MAX_SUMS = 2**30
"""Largest that is read, in bytes."""


class HashingFile(io.RawIOBase, BinaryIO):
    """Passes bytes on to a file, or from one, and knows their SHA-256; the file itself stays open.

    hashed = HashingFile(file)
    writer = FORMATS["webdataset"].writer(hashed, "jpg")
    ...
    writer.close()
    hashed.hexdigest()
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes so far."""

    def readable(self) -> bool:
        return self._file.readable()

    def writable(self) -> bool:
        return self._file.writable()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def tell(self) -> int:
        return self.size

    def hexdigest(self) -> str:
        """SHA-256 of everything that has passed, 64 hex digits."""
        return self._hash.hexdigest()


def format_sums(sums: Mapping[str, str]) -> bytes:
    """{path relative to the directory: SHA-256} -> the content of its `SHA256SUMS`, sorted by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())).encode()


def parse_sums(content: bytes) -> dict[str, str]:
    """The content of a `SHA256SUMS` -> {path: SHA-256}; lines that are something else are skipped."""
    sums = {}
    for line in content.decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition(" ")
        if len(digest) == 64 and path[:1] in (" ", "*"):
            sums[path[1:].removeprefix("./")] = digest.lower()
    return sums


def read_sums(folder: str) -> dict[str, str] | None:
    """{path: SHA-256} of all that the `SHA256SUMS` of a folder lists; None if it cannot be had."""
    try:
        return parse_sums(files.read(posixpath.join(folder, SUMS), MAX_SUMS))
    except OSError:
        return None


class Listed(NamedTuple):
    """What a `SHA256SUMS` says of a file.

    >>> Listed("data/train-00000-of-00008.tar", "5f70bf18a086...")
    """

    path: str
    """Below the folder of the `SHA256SUMS`."""
    sha256: str
    """Empty if it lists other files only."""


def listed(uris: Iterable[str]) -> dict[str, Listed | None]:
    """What the `SHA256SUMS` above a file's folder, or in it, says of the file; None if there is neither."""
    sums_of = cache(read_sums)
    found: dict[str, Listed | None] = {}
    for uri in uris:
        folder, name = posixpath.split(uri)
        above, base = posixpath.split(folder)
        places = [(sums_of(above), f"{base}/{name}"), (sums_of(folder), name)]
        there = [Listed(path, sums.get(path, "")) for sums, path in places if sums is not None]
        found[uri] = max(there, key=lambda each: bool(each.sha256), default=None)
    return found

"""SHA-256 of files as they pass by, and `SHA256SUMS` as `sha256sum -c` reads it."""

import hashlib
import io
from collections.abc import Mapping
from typing import BinaryIO


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

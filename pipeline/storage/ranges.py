"""Ranges of many files, read again and again: a local file stays open."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from gritmill.pipeline.storage import files

MAX_OPEN = 128
"""Files that one process keeps open."""


class Ranges:
    """Reads ranges of a list of files. Goes to other processes, forked or not, with nothing open."""

    def __init__(self, uris: Iterable[str]) -> None:
        self.uris = list(uris)
        self._open: dict[int, int] = {}

    def read(self, number: int, offset: int, size: int) -> bytes:
        """`size` bytes of a file. Raises `OSError` if they cannot be had or the file ends before."""
        uri = self.uris[number]
        if files.is_local(uri):
            # Has no position in the file that forked processes could share.
            data = os.pread(self._descriptor(number), size, offset)
        else:
            data = files.read_range(uri, offset, size)
        if len(data) != size:
            raise OSError(f"{uri} ends early")
        return data

    def _descriptor(self, number: int) -> int:
        if number not in self._open:
            descriptor = os.open(self.uris[number], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if len(self._open) >= MAX_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[number] = descriptor
        return self._open[number]

    def __getstate__(self) -> dict[str, Any]:
        return {"uris": self.uris, "_open": {}}

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # modules may be gone by then
        for descriptor in self.__dict__.get("_open", {}).values():
            close(descriptor)

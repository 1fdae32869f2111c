"""Drops images whose makers do not want them in datasets, by lists of ids, URLs and digests."""

import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.filters.base import Filter
from gritmill.stages.filters.source_facts import facts, first_text

SHA256 = re.compile("[0-9a-f]{64}", re.I)
MAX_LINE = 10_000

Digests = npt.NDArray[np.uint64]


class OptOut(Filter):
    """Image -> the entry of a list that names it, or null; drops those that are named.

    image_id 000000000139, a list with the line `000000000139` -> Reject("opted_out", "000000000139")

    An entry is the `image_id` of a sample (in a mix with its source's name before it), a URL that its
    metadata tell, with or without https://, or the SHA-256 of the image's bytes. Of each entry eight bytes
    are held in memory.
    """

    reads = ("image_id", "image", "metadata")
    writes = {"opted_out": str}

    lists: list[str] = Field(min_length=1)
    """Text files, one entry a line; empty lines and those that begin with # do not count."""
    url: list[str] = Field(default=["url", "URL", "image_url", "coco_url", "flickr_url"], min_length=1)
    """Fields of the metadata in which URLs of the image are looked for; any of them may be on a list."""

    _listed: Digests = PrivateAttr()
    _has_digests: bool = PrivateAttr()

    def problems(self) -> list[str]:
        try:
            self.revision()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        return {"lists": " ".join(_file_digest(*_state(name)) for name in self.lists)}

    def setup(self) -> None:
        self._has_digests = False
        self._listed = np.unique(np.fromiter(map(_short, self._entries()), np.uint64))
        if not len(self._listed):
            raise UserError(f"lists {', '.join(self.lists)} have no entry; give one a line")

    def measure(self, batch: Columns) -> Columns:
        names = [self._names(*row) for row in zip(*(batch[name] for name in self.reads))]
        return {"opted_out": [next(filter(self._is_listed, row), None) for row in names]}

    def process(self, batch: Columns) -> Columns:
        measured = self.measure(batch)
        if self.mode == "drop":
            measured["opted_out"] = [entry and Reject("opted_out", entry) for entry in measured["opted_out"]]
        return measured

    def _entries(self) -> Iterator[str]:
        for name in self.lists:
            for entry in _entries(name):
                self._has_digests |= SHA256.fullmatch(entry) is not None
                yield entry

    def _names(self, image_id: str, image: Any, metadata: str) -> Iterator[str]:
        """All by which a list might name an image; its bytes are read last, and only where it matters."""
        yield image_id
        told = facts(metadata)
        yield from filter(None, (first_text(told, [field]) for field in self.url))
        if self._has_digests:
            yield hashlib.sha256(image.read()).hexdigest()

    def _is_listed(self, name: str) -> bool:
        digest = np.uint64(_short(name))
        place = np.searchsorted(self._listed, digest)
        return bool(place < len(self._listed) and self._listed[place] == digest)


def _short(entry: str) -> int:
    """A number of 64 bits for an entry; the same for `http://a.org/x/` and `https://a.org/x`."""
    plain = re.sub(r"^https?://", "", entry.strip(), flags=re.I).rstrip("/")
    plain = plain.lower() if SHA256.fullmatch(plain) else plain
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def _entries(name: str) -> Iterator[str]:
    try:
        with Path(name).expanduser().open(encoding="utf-8-sig") as file:
            while line := file.readline(MAX_LINE):
                if line.strip() and not line.startswith("#"):
                    yield line.strip()
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _state(name: str) -> tuple[str, int, int]:
    try:
        state = Path(name).expanduser().stat()
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return name, state.st_size, state.st_mtime_ns


@functools.cache
def _file_digest(name: str, size: int, changed: int) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> UserError:
    return UserError(f"list {name!r} cannot be read: {error}; give a text file with one entry a line")

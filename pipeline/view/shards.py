"""The samples of tars, ours or not: members are looked up in the headers, read when they are shown."""

import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gritmill.pipeline.gallery import Entry
from gritmill.pipeline.sources.captions import MAX_CAPTION
from gritmill.pipeline.sources.images import MAX_BYTES
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.tars import BrokenArchive, Member, members
from gritmill.pipeline.verify.sample import IMAGES, TEXTS
from gritmill.pipeline.verify.shard import key_and_extension
from gritmill.pipeline.view.listing import Samples, unreadable
from gritmill.pipeline.view.records import entry_of, measured_size, told_size
from gritmill.schemas.errors import UserError

MAX_RECORD = 2**20
"""Largest record that is shown, in bytes; a page has two dozen of them."""


class Place(NamedTuple):
    """`size` bytes at `offset` of the shard; a member that is not there has size 0."""

    offset: int
    size: int


class ShardRow(NamedTuple):
    """Where a sample lies."""

    key: str
    shard: int
    image: Place
    record: Place
    caption: Place


NOWHERE = Place(0, 0)


class ShardSamples(Samples[ShardRow]):
    """Webdatasets: an image, a `.json`, a `.txt`, of which a sample may have any."""

    def __init__(self, shards: Sequence[str]) -> None:
        super().__init__()
        self.shards = list(shards)
        self.is_near = all(map(files.is_local, shards))  # headers lie as far apart as the images are large
        self._damage: list[str] = []

    @property
    def notes(self) -> list[str]:
        return self._damage

    def find(self) -> Iterator[ShardRow | None]:
        for number, shard in enumerate(self.shards):
            try:
                with files.open_binary(shard) as file:
                    yield from _rows(number, members(file))
            except (BrokenArchive, UserError, OSError) as error:
                self._damage.append(f"{posixpath.basename(shard)}: {error}")

    def entry(self, number: int) -> Entry:
        row = self.rows[number]
        try:
            record = self._record(row)
        except (OSError, ValueError, RecursionError) as error:
            return unreadable(row.key, "bad_json", str(error))
        return entry_of(row.key, record)

    def size(self, number: int) -> tuple[int, int]:
        row = self.rows[number]
        if not row.image.size:
            raise OSError(f"{row.key} has no image")
        try:
            told = told_size(self._record(row))
        except (ValueError, RecursionError):
            told = None
        return told or measured_size(self.image(number))

    def image(self, number: int) -> bytes:
        row = self.rows[number]
        if not 0 < row.image.size <= MAX_BYTES:
            raise OSError(f"{row.key} has no image of at most {MAX_BYTES} bytes")
        return self._read(row, row.image)

    def _record(self, row: ShardRow) -> dict[str, Any]:
        """The record, with the caption of the `.txt` if it has none. Raises `ValueError` for nonsense."""
        record: Any = {}
        if row.record.size > MAX_RECORD:
            raise ValueError(f"a record of {row.record.size:,} bytes, more than {MAX_RECORD:,}")
        if row.record.size:
            record = json.loads(self._read(row, row.record))
        if not isinstance(record, dict):
            raise ValueError("the record is no JSON object")
        if not isinstance(record.get("caption"), str) and 0 < row.caption.size <= MAX_CAPTION:
            record["caption"] = self._read(row, row.caption).decode("utf-8", "replace")
        return record

    def _read(self, row: ShardRow, place: Place) -> bytes:
        return files.read_range(self.shards[row.shard], *place)


def _rows(shard: int, found: Iterator[Member]) -> Iterator[ShardRow]:
    """Neighbouring members of one name are a sample, as webdataset has it; the first image counts."""
    key, places = "", dict[str, Place]()

    def row() -> ShardRow:
        image, record, caption = (places.get(kind, NOWHERE) for kind in ("image", "record", "caption"))
        return ShardRow(key, shard, image, record, caption)

    try:
        for member in found:
            name, extension = key_and_extension(member.name)
            kind = _kind(extension)
            if not name or not kind:
                continue
            if name != key:
                if places:
                    yield row()
                key, places = name, {}
            places.setdefault(kind, Place(member.offset, member.size))
    except BrokenArchive:
        if places:
            yield row()
        raise
    if places:
        yield row()


def _kind(extension: str) -> str:
    """`jpg` -> `image`, `json` -> `record`, `txt` -> `caption`; empty for what is not shown."""
    if extension == "json":
        return "record"
    if extension in TEXTS:
        return "caption"
    return "image" if extension in IMAGES else ""

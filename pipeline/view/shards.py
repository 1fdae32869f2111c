"""The samples of tars, ours or not: members are looked up in the headers, read when they are shown."""

import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gritmill.pipeline.gallery import GalleryEntry
from gritmill.pipeline.sources.captions import MAX_CAPTION
from gritmill.pipeline.sources.images import MAX_BYTES
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.samples import NOWHERE, Place, samples
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.pipeline.view.listing import SampleListing, unreadable
from gritmill.pipeline.view.records import entry_of, measured_size, told_size
from gritmill.schemas.errors import UserError

MAX_RECORD = 2**20
"""Largest record that is shown, in bytes; a page has two dozen of them."""


class ShardRow(NamedTuple):
    """Where a sample lies."""

    key: str
    shard: int
    image: Place
    record: Place
    caption: Place


class ShardSamples(SampleListing[ShardRow]):
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
                    for sample in samples(file):
                        row = ShardRow(sample.stem, number, sample.image, sample.record, sample.text)
                        if row[2:] != (NOWHERE,) * 3:
                            yield row
            except (BrokenArchive, UserError, OSError) as error:
                self._damage.append(f"{posixpath.basename(shard)}: {error}")

    def entry(self, number: int) -> GalleryEntry:
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

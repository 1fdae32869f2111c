"""Shards as webdataset reads them: for each sample the untouched image, its record and its caption."""

from collections.abc import Mapping
from typing import Any, BinaryIO

from gritmill.pipeline.output.formats import Format
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.pipeline.storage.tar_writer import TarWriter
from gritmill.schemas.records import Record, to_json, to_record


class WebdatasetWriter:
    """`000373938.jpg`, `000373938.json` (see `schemas/records.py`), `000373938.txt` (the caption).

    The same members in the same order for every sample, nothing after the caption's last character.
    """

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._tar = TarWriter(file)
        self._extension = extension

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        self.add_record(to_record(sample), image)

    def add_record(self, record: Record, image: bytes) -> None:
        """Appends the members of a record."""
        stem = member_stem(record["key"])
        self._tar.add(
            (f"{stem}.{self._extension}", image),
            (f"{stem}.json", to_json(record)),
            (f"{stem}.txt", record["caption"].encode()),
        )

    def close(self) -> None:
        self._tar.close()


WEBDATASET = Format(WebdatasetWriter, "data/{split}-{shard:05d}-of-{shards:05d}.tar", reads_images=True)

import csv
import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from gritmill import Format


class CaptionTableWriter:
    """A line a sample: its key, its caption, the number of its boxes."""

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._file = file

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        line = io.StringIO()
        boxes = sample.get("boxes") or []
        csv.writer(line, lineterminator="\n").writerow([sample["key"], sample["caption"], len(boxes)])
        self._file.write(line.getvalue().encode())

    def close(self) -> None:
        """Nothing is kept back."""


CAPTION_TABLE = Format(CaptionTableWriter, "captions/{split}-{shard:05d}-of-{shards:05d}.csv")

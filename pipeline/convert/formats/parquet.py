"""`parquet`: our records as a table, without the images.

    parquet/train-00000-of-00001.parquet    the fields of `schemas/records.py`, a column each
    SHA256SUMS

The record's `source` says where its image lies. Because a table may come from anybody, an image is only
read where it lies in the folder given by `--images`.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gritmill.pipeline.convert.records import from_record
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable
from gritmill.pipeline.convert.tables import find_tables, rows_of
from gritmill.pipeline.convert.writing import BySplit, opened
from gritmill.pipeline.output.parquet import ParquetWriter
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.checksums import SUMS, HashingFile, format_sums
from gritmill.schemas.columns import ImageRef

LOSES = {
    "image": "the table holds no images; `source` says where they lie",
    "annotations": "boxes whose label is no part of the caption have no column",
}


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Some thousand rows at a time; the images are looked for below `images` alone."""
    for table in find_tables(path):
        for number, row in rows_of(table):
            row = {name: value for name, value in row.items() if value is not None}
            try:
                yield from_record(row, f"{number:09d}", _image(row, images), losses)
            except Unusable as error:
                losses.row(f"{table}, row {number}", str(error))


def recognises(columns: Iterable[str]) -> bool:
    """True if a table has our columns."""
    return {"image_id", "caption", "captions", "metadata"} <= set(columns)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """A file for each split, some thousand rows in memory; returns how many samples they hold."""
    written = 0
    sums: dict[str, str] = {}

    @contextmanager
    def table(split: str) -> Iterator[ParquetWriter]:
        name = f"parquet/{split}-00000-of-00001.parquet"
        with opened(folder / name) as file:
            hashed = HashingFile(file)
            writer = ParquetWriter(hashed, "")
            yield writer
            writer.close()
            sums[name] = hashed.hexdigest()

    with BySplit(table) as tables:
        for sample in samples:
            for _ in sample.annotations:
                losses.part(sample.record["key"], "a box whose label is no part of the caption")
            tables[sample.record["split"]].add_record(sample.record)
            written += 1
    (folder / SUMS).write_bytes(format_sums(sums))
    return written


def _image(row: Mapping[str, Any], images: str | None) -> ImageRef | None:
    source = row.get("source")
    if images is None or not isinstance(source, Mapping):
        return None
    uri, offset, length = (source.get(name) for name in ("uri", "offset", "length"))
    path = files.inside(images, uri) if isinstance(uri, str) else None
    if path is None or not isinstance(offset, int) or not isinstance(length, int) or min(offset, length) < 0:
        return None
    return ImageRef(posixpath.join(images, path), offset, length)

"""`kosmos2_parquet`: the table of zzliang/GRIT on the Hub, without the images.

    key, clip_similarity_vitb32, clip_similarity_vitl14, id, url, caption, width, height,
    noun_chunks: list<list<double>>, ref_exps: list<list<double>>

`id`, `url` and the similarities stand in a record's metadata. Nothing is fetched from a `url`; images that
were are found by key (`000373938.jpg`) in the folder given by `--images`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gritmill.pipeline.convert.formats.kosmos2 import LOSES as KOSMOS2
from gritmill.pipeline.convert.formats.kosmos2 import is_grit
from gritmill.pipeline.convert.reading import Images
from gritmill.pipeline.convert.records import from_record
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable
from gritmill.pipeline.convert.tables import find_tables, rows_of
from gritmill.pipeline.convert.writing import opened

LOSES = {
    **KOSMOS2,
    "image": "the table holds none; `url` says where they were, if the metadata does",
    "metadata": "only `id`, `url` and the two similarities stay",
}
_REGIONS = pa.list_(pa.list_(pa.float64()))
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "clip_similarity_vitb32": pa.float64(),
        "clip_similarity_vitl14": pa.float64(),
        "id": pa.int64(),
        "url": pa.string(),
        "caption": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
        "noun_chunks": _REGIONS,
        "ref_exps": _REGIONS,
    }
)
ROW_GROUP = 10_000
_SCALARS = {"clip_similarity_vitb32": float, "clip_similarity_vitl14": float, "id": int, "url": str}


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Some thousand rows at a time."""
    found = Images([images] if images is not None else [])
    for table in find_tables(path):
        for number, row in rows_of(table):
            row = {name: value for name, value in row.items() if value is not None}
            key = row.get("key")
            stem = key if isinstance(key, str) and key else f"{number:09d}"
            where = next(filter(None, (found.find(f"{stem}.{e}") for e in ("jpg", "png", "webp"))), None)
            try:
                yield from_record(row, stem, where, losses)
            except Unusable as error:
                losses.row(f"{table}, row {number}", str(error))


def recognises(columns: Iterable[str]) -> bool:
    """True if a table has GRIT's columns."""
    return {"caption", "noun_chunks", "ref_exps"} <= set(columns)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """One file, some thousand rows in memory; returns how many rows it has."""
    written = 0
    rows: list[dict[str, Any]] = []
    with opened(folder / "grit_0_snappy.parquet") as file, pq.ParquetWriter(file, SCHEMA) as table:
        for sample in samples:
            if not is_grit(sample, losses):
                continue
            rows.append(_row(sample))
            written += 1
            if len(rows) == ROW_GROUP:
                table.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows = []
        if rows:
            table.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return written


def _row(sample: Sample) -> dict[str, Any]:
    record = sample.record
    metadata = json.loads(record["metadata"])
    row = {name: _scalar(metadata.get(name), kind) for name, kind in _SCALARS.items()}
    row |= {name: record[name] for name in ("key", "caption", "width", "height")}
    row["noun_chunks"] = record.get("noun_chunks") or []
    row["ref_exps"] = record.get("ref_exps") or row["noun_chunks"]
    return row


def _scalar(value: object, kind: type) -> object:
    """The value if it is of its column's type, else null."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return None
    return None if isinstance(value, int) and not -(2**63) <= value < 2**63 else value

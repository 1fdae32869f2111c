"""Records as Parquet with GRIT's published columns; the images stay where they are."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, BinaryIO, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from gritmill.pipeline.output.formats import Format
from gritmill.schemas.columns import Check, arrow_type
from gritmill.schemas.conversations import Provenance
from gritmill.schemas.records import MEASURED, Record, to_record

_REGIONS = pa.list_(pa.list_(pa.float64()))
_MASK = pa.struct(
    {
        "size": pa.list_(pa.int64()),
        "counts": pa.string(),
        "score": pa.float64(),
        "model": pa.string(),
    }
)
_CHECKS = pa.struct({check: pa.bool_() for check in get_args(Check)})
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "caption": pa.string(),
        "width": pa.int64(),
        "height": pa.int64(),
        "noun_chunks": _REGIONS,
        "ref_exps": _REGIONS,
        "boxes": pa.list_(pa.struct({"model": pa.string(), "phrase": pa.string(), "checks": _CHECKS})),
        "masks": pa.list_(_MASK),
        "image_id": pa.string(),
        "split": pa.string(),
        "image_format": pa.string(),
        "source": pa.struct({"uri": pa.string(), "offset": pa.int64(), "length": pa.int64()}),
        "captions": pa.list_(pa.string()),
        "metadata": pa.string(),
        MEASURED: pa.string(),
        "conversations": pa.string(),
        "provenance": arrow_type(list[Provenance]),
    }
)
"""The fields of a record (`schemas/records.py`), one column each; null where the record has none. Columns
that the recipe keeps follow, with their own types."""

ROW_GROUP = 2_000
"""Samples in a row group, and thus in memory."""


class ParquetWriter:
    """One row a sample, zstd; `pd.read_parquet("parquet/")` gives the whole dataset without its pixels."""

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._file = file
        self._schema = SCHEMA
        self._records: list[Record] = []

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        measured = sample.get(MEASURED)
        if measured is None:
            self.add_record(to_record(sample))
            return
        if self._schema is SCHEMA:
            kinds = {name: arrow_type(kind) for name, kind in measured.kinds.items()}
            self._schema = pa.schema([*SCHEMA, *kinds.items()])
        self.add_record(to_record(sample) | measured.plain())

    def add_record(self, record: Record) -> None:
        """Appends a record; fields that have no column are left out."""
        self._records.append(record)
        if len(self._records) == ROW_GROUP:
            self._flush()

    def close(self) -> None:
        if self._records:
            self._flush()
        self._parquet.close()

    @cached_property
    def _parquet(self) -> pq.ParquetWriter:
        """Opened when the first sample has said what else there is."""
        return pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def _flush(self) -> None:
        self._parquet.write_table(pa.Table.from_pylist(self._records, schema=self._schema))
        self._records = []


PARQUET = Format(ParquetWriter, "parquet/{split}-{shard:05d}-of-{shards:05d}.parquet")

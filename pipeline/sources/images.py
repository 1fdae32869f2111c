"""Image bytes, fetched from where the source keeps them."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gritmill.pipeline.storage import files
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.tables import named

MAX_BYTES = 256 * 2**20
"""Most bytes that are read for one image."""

DRAWN: dict[str, str] = {"scenes": "gritmill.pipeline.sources.scenes:draw"}
"""Pictures that lie nowhere: what comes before the colon of a uri -> what draws them."""

_COLUMN = re.compile(r"(.+?\.(parquet|arrow))#(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image that lies in the source, behind the interface that stages see.

    >>> StoredImage(ImageRef("00000.tar", 1536, 48213))        # a byte range
    >>> StoredImage(ImageRef("photos/a.jpg", 0, 0))            # a whole file of unknown length
    >>> StoredImage(ImageRef("train-00.parquet#image", 7, 0))  # row 7, bytes or struct with `bytes`
    >>> StoredImage(ImageRef("data-00.arrow#image", 7, 0))     # the same in an IPC stream of `datasets`
    >>> StoredImage(ImageRef("scenes:seed=1", 7, 0))           # drawn, see the scenes source
    """

    ref: ImageRef

    def read(self) -> bytes:
        """The encoded bytes, unchanged. Raises `OSError` if they cannot be had, are fewer than
        `length` or more than `MAX_BYTES`."""
        uri, offset, length = self.ref
        if offset < 0 or not 0 <= length <= MAX_BYTES:
            raise OSError(f"{length} bytes at {offset} of {uri} is no range that may be read")
        if drawer := DRAWN.get(uri.partition(":")[0]):
            drawn: bytes = named(drawer)(uri, offset)
            return drawn
        in_column = _COLUMN.fullmatch(uri)
        if in_column:
            data = _cell(in_column[1], in_column[2], in_column[3], offset)
        elif length:
            data = files.read_range(uri, offset, length)
        else:
            data = files.read(uri, MAX_BYTES)
        if len(data) < length:
            raise OSError(f"{uri} ends after {len(data)} of {length} bytes at {offset}")
        return data


def _cell(uri: str, kind: str, column: str, row: int) -> bytes:
    """The image in one row of a column."""
    # A file may be written anew while we live. Asking after a remote one would cost a request for
    # each image, so those are taken to stay.
    file = files.stat(uri) if files.is_local(uri) else None
    version = file.version if file else ""
    try:
        if kind == "parquet":
            first, values = _parquet_rows(uri, version, column, row)
        else:
            first, values = _arrow_stream(uri, version, column).rows(row)
        value = values[row - first].as_py()
    except (pa.ArrowException, ValueError, LookupError) as error:
        raise OSError(f"row {row} of {uri}#{column} cannot be read: {error}") from error
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes) or len(value) > MAX_BYTES:
        raise OSError(f"row {row} of {uri}#{column} holds no image of at most {MAX_BYTES} bytes")
    return value


def _parquet_rows(uri: str, version: str, column: str, row: int) -> tuple[int, Any]:
    """The row group that a row lies in: its first row and the column's values."""
    _, starts = _parquet_file(uri, version)
    group = bisect_right(starts, row) - 1
    return starts[group], _row_group(uri, version, column, group)


@lru_cache(maxsize=8)
def _parquet_file(uri: str, version: str) -> tuple[pq.ParquetFile, list[int]]:
    """An open file and the first row of each row group."""
    file = pq.ParquetFile(uri if files.is_local(uri) else files.open_binary(uri))
    sizes = (file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
    return file, [0, *accumulate(sizes)]


# Rows are asked for in order, so the last row group is all that is worth keeping.
@lru_cache(maxsize=1)
def _row_group(uri: str, version: str, column: str, group: int) -> pa.ChunkedArray:
    file, _ = _parquet_file(uri, version)
    if group >= file.num_row_groups:
        raise IndexError("there is no such row")
    return file.read_row_group(group, columns=[column]).column(column)


class _ArrowStream:
    """Record batches of an IPC stream, which can only be gone through from the start."""

    def __init__(self, uri: str, column: str) -> None:
        self.uri = uri
        self.column = column
        self.rewind()

    def rewind(self) -> None:
        local = files.is_local(self.uri)
        source = pa.memory_map(self.uri) if local else files.open_binary(self.uri)
        self.reader = pa.ipc.open_stream(source)
        self.first, self.values = 0, pa.nulls(0)

    def rows(self, row: int) -> tuple[int, Any]:
        """The batch that a row lies in: its first row and the column's values."""
        if row < self.first:
            self.rewind()
        while row >= self.first + len(self.values):
            try:
                batch = self.reader.read_next_batch()
            except StopIteration:
                raise IndexError("there is no such row") from None
            self.first += len(self.values)
            self.values = batch.column(self.column)
            self.values.validate(full=True)  # offsets of a foreign file could point anywhere
        return self.first, self.values


@lru_cache(maxsize=4)
def _arrow_stream(uri: str, version: str, column: str) -> _ArrowStream:
    return _ArrowStream(uri, column)

"""Parquet files, read some thousand rows at a time."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gritmill.pipeline.storage import files
from gritmill.schemas.errors import UserError

_BATCH = 1_000


def find_tables(path: str) -> list[str]:
    """The Parquet files of a path, glob or folder, sorted. Raises `UserError` if there are none."""
    found = [file.uri for file in files.find(path)] or [
        f"{path.rstrip('/')}/{name}" for name in files.walk(path) if name.endswith(".parquet")
    ]
    if not found:
        raise UserError(f"{path} has no Parquet files; give a .parquet file or a folder of them.")
    return found


def columns_of(table: str) -> list[str]:
    """The names of a table's columns; none if it is no Parquet file."""
    try:
        with files.open_binary(table) as file:
            return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError):
        return []


def rows_of(table: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 0, row). Raises `UserError` for a file that cannot be read."""
    number = 0
    try:
        with files.open_binary(table) as file:
            for batch in pq.ParquetFile(file).iter_batches(_BATCH):
                for row in batch.to_pylist():
                    yield number, row
                    number += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{table} cannot be read: {error}. Fetch it again or leave it out.") from error

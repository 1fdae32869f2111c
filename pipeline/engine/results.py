"""The result of one step on one part: a parquet file with the step's own columns, its rejected rows
with their reason, and its receipt. The file exists only if it is whole, so it is also the mark that
the work is done.

    _row  _reason        _value  _threshold  _failed  _passed  words  characters
    0     null           null    null        false    null     7      34
    1     too_few_words  1       3           false    null     null   null
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, Reject, arrow_type, to_arrow
from gritmill.schemas.public import without_secrets

SUFFIX = ".parquet"
_BOOKKEEPING = [
    ("_row", pa.int32()),
    ("_reason", pa.string()),
    ("_value", pa.string()),
    ("_threshold", pa.string()),
    ("_failed", pa.bool_()),
    ("_passed", pa.string()),
]


_NOT_STORABLE = (pa.ArrowException, UnicodeError, TypeError, OverflowError)


class Failure(Reject):
    """A row that was lost because something raised: `Failure("ValueError", "bad width")`."""


class Passed(Reject):
    """A row that goes on though a step had nothing to append for it, since something is there already."""


@dataclass(frozen=True)
class Result:
    """A result in memory: one row for each row that the step was given."""

    table: pa.Table
    receipt: Receipt


def make_result(
    step: str,
    part: str,
    rows: Sequence[int],
    columns: Columns,
    types: dict[str, Any],
    seconds: float,
    versions: dict[str, str],
) -> Result:
    """A step's output -> its result. `rows` are the part's row numbers, in ascending order."""
    rejects: list[Reject | None] = [None] * len(rows)
    passes: list[Reject | None] = [None] * len(rows)
    arrays = []
    for name, kind in types.items():
        values = columns[name]
        if any(isinstance(value, Reject) for value in values):
            values = list(values)
            for i, value in enumerate(values):
                if isinstance(value, Passed):
                    passes[i] = _without_secrets(value)
                    values[i] = None
                elif isinstance(value, Reject):
                    rejects[i] = rejects[i] or _without_secrets(value)
                    values[i] = None
        try:
            arrays.append(to_arrow(values, kind))
        except _NOT_STORABLE:
            values = _storable(values, kind, rejects)
            arrays.append(to_arrow(values, kind))
    rejected: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for reject in rejects:
        if reject is not None:
            (failed if isinstance(reject, Failure) else rejected)[reject.reason] += 1
    # What is rejected does not pass.
    passes = [None if reject else passed for reject, passed in zip(rejects, passes, strict=True)]
    told = [reject or passed for reject, passed in zip(rejects, passes, strict=True)]
    passed = Counter(one.reason for one in passes if one)
    bookkeeping = [
        pa.array(rows, pa.int32()),
        pa.array([r and r.reason for r in rejects], pa.string()),
        pa.array([r and _plain_text(r.value) for r in told], pa.string()),
        pa.array([r and _plain_text(r.threshold) for r in told], pa.string()),
        pa.array([isinstance(r, Failure) for r in rejects], pa.bool_()),
        pa.array([r and r.reason for r in passes], pa.string()),
    ]
    schema = pa.schema([*_BOOKKEEPING, *((name, arrow_type(kind)) for name, kind in types.items())])
    receipt = Receipt(
        step=step,
        part=part,
        rows_in=len(rows),
        rows_out=rejects.count(None),
        rejected=dict(sorted(rejected.items())),
        failed=dict(sorted(failed.items())),
        seconds=round(seconds, 6),
        versions=versions,
        details={},
        passed=dict(sorted(passed.items())),
    )
    return Result(pa.table([*bookkeeping, *arrays], schema=schema), receipt)


def _storable(values: list[Any], kind: Any, rejects: list[Reject | None]) -> list[Any]:
    """Values without those that Arrow cannot hold (a lone surrogate, say), whose rows fail."""
    kept = list(values)
    for i, value in enumerate(values):
        try:
            to_arrow([value], kind)
        except _NOT_STORABLE as error:
            kept[i] = None
            rejects[i] = rejects[i] or _without_secrets(Failure(type(error).__name__, str(error)[:500]))
    return kept


def _without_secrets(reject: Reject) -> Reject:
    """Why a row went may quote an address."""
    return type(reject)(*map(without_secrets, (reject.reason, reject.value, reject.threshold)))


def _plain_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def write_result(store: Store, name: str, result: Result) -> None:
    """Writes it under `name`, whole or not at all."""
    table = result.table.replace_schema_metadata({"receipt": result.receipt.to_json()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    store.write(name, sink.getvalue())


def read_receipt(store: Store, name: str) -> Receipt:
    with store.open_arrow(name) as file:
        return Receipt.from_json(pq.read_schema(file).metadata[b"receipt"])


def read_columns(store: Store, name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a result, `_row` first; all its rows."""
    with store.open_arrow(name) as file:
        return pq.ParquetFile(file).read(["_row", *columns], use_threads=False)


def read_result(store: Store, name: str) -> pa.Table:
    """A whole result."""
    with store.open_arrow(name) as file:
        return pq.ParquetFile(file).read(use_threads=False)


def kept_rows(store: Store, name: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The part's row numbers that a step let through, ascending."""
    table = read_columns(store, name, ["_reason"])
    return table.filter(pc.is_null(table["_reason"]))["_row"].to_numpy()


def merge_results(pieces: Sequence[tuple[pa.Table, Receipt]]) -> Result:
    """The results of slices of a part, in order -> the result of the part."""
    receipts = [receipt for _, receipt in pieces]
    rejected: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for receipt in receipts:
        rejected.update(receipt.rejected)
        failed.update(receipt.failed)
        passed.update(receipt.passed)
    table = pa.concat_tables([piece.replace_schema_metadata(None) for piece, _ in pieces])
    first = receipts[0]
    return Result(
        table.combine_chunks(),
        Receipt(
            step=first.step,
            part=first.part,
            rows_in=sum(receipt.rows_in for receipt in receipts),
            rows_out=sum(receipt.rows_out for receipt in receipts),
            rejected=dict(sorted(rejected.items())),
            failed=dict(sorted(failed.items())),
            seconds=round(sum(receipt.seconds for receipt in receipts), 6),
            versions=first.versions,
            details={},
            passed=dict(sorted(passed.items())),
        ),
    )

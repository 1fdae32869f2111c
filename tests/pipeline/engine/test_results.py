import math
from pathlib import Path

import pytest

from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.results import (
    Failure,
    kept_rows,
    make_result,
    merge_results,
    read_columns,
    read_receipt,
    read_result,
    write_result,
)
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Reject, Span, from_arrow

TYPES = {"chunks": list[Span], "words": int}


def some_result(rows: range = range(10, 14)):
    columns = {
        "chunks": [[Span(0, 5)], Reject("no_noun_chunk"), [], [Span(1, 2), Span(3, 4)]],
        "words": [3, 4, Failure("ValueError", "what?\ud800"), 6],
    }
    return make_result("noun_chunks", "0f", rows, columns, TYPES, 1.5, {"spacy": "3.8"})


def test_a_result_comes_back_whole(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_result(store, "a.parquet", some_result())
    receipt = read_receipt(store, "a.parquet")
    assert (receipt.rows_in, receipt.rows_out) == (4, 2)
    assert (receipt.rejected, receipt.failed) == ({"no_noun_chunk": 1}, {"ValueError": 1})
    assert receipt.versions == {"spacy": "3.8"}
    assert kept_rows(store, "a.parquet").tolist() == [10, 13]
    table = read_result(store, "a.parquet")
    assert from_arrow(table["chunks"], TYPES["chunks"]) == [[Span(0, 5)], None, [], [Span(1, 2), Span(3, 4)]]
    # A dropped row keeps what else was measured of it.
    assert table["words"].to_pylist() == [3, 4, None, 6]
    assert table["_reason"].to_pylist() == [None, "no_noun_chunk", "ValueError", None]
    assert table["_value"].to_pylist()[2].startswith("what?")
    assert read_columns(store, "a.parquet", ["words"]).column_names == ["_row", "words"]


def test_equal_results_are_equal_files(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("a", "b"):
        write_result(store, name, some_result())
    assert store.read("a") == store.read("b")


def test_a_part_with_no_rows_is_a_result_too(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_result(store, "a", make_result("s", "0", [], {"chunks": [], "words": []}, TYPES, 0, {}))
    assert kept_rows(store, "a").tolist() == []
    assert read_receipt(store, "a").rows_in == 0


def test_pieces_merge_to_what_the_whole_would_be(tmp_path: Path) -> None:
    whole = merge_results([(r.table, r.receipt) for r in (some_result(), some_result(range(20, 24)))])
    assert whole.table["_row"].to_pylist() == [10, 11, 12, 13, 20, 21, 22, 23]
    assert whole.receipt.rejected == {"no_noun_chunk": 2}
    assert math.isclose(whole.receipt.seconds, 3.0)


def test_a_value_that_cannot_be_stored_costs_its_row_alone(tmp_path: Path) -> None:
    captions = ["fine", "not \ud800 text", "fine, too"]
    result = make_result("s", "0", range(3), {"caption": captions}, {"caption": str}, 0, {})
    assert (result.receipt.rows_out, result.receipt.failed) == (2, {"UnicodeEncodeError": 1})
    assert result.table["caption"].to_pylist() == ["fine", None, "fine, too"]


def test_a_receipt_accounts_for_every_row() -> None:
    with pytest.raises(AssertionError, match="10 rows in, 9 accounted for"):
        Receipt("s", "p", 10, 7, {"a": 1}, {"b": 1}, 0.0, {}, {})

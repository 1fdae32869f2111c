"""Receipts of a step: from segments where they hold them, from the results where not."""

from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from gritmill.pipeline.engine import ledger as ledger_module
from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.results import make_result, write_result
from gritmill.pipeline.storage.store import Store

FOLDER = "ground-0123456789abcdef"


class CountingStore(Store):
    """Counts the files that are read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.read_names: list[str] = []

    def read(self, name: str) -> bytes:
        self.read_names.append(name)
        return super().read(name)

    def open(self, name: str) -> BinaryIO:
        self.read_names.append(name)
        return super().open(name)

    def open_arrow(self, name: str) -> pa.NativeFile:
        self.read_names.append(name)
        return super().open_arrow(name)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(str(tmp_path))


def part(number: int) -> str:
    return f"{number:016x}"


def finish(store: Store, number: int, rows: int = 3) -> Receipt:
    """Does a part: writes its result, returns its receipt."""
    columns: dict[str, list[Any]] = {"words": list(range(rows))}
    result = make_result("ground", part(number), list(range(rows)), columns, {"words": int}, 0.5, {"m": "1"})
    write_result(store, f"{FOLDER}/{part(number)}.parquet", result)
    return result.receipt


def opened(store: Store) -> Ledger:
    return Ledger(store, FOLDER, store.names(FOLDER))


def receipts(store: Store, *numbers: int) -> list[Receipt]:
    return sorted(opened(store).receipts([part(n) for n in numbers]), key=lambda r: r.part)


def test_a_folder_that_is_not_there_has_none(store: CountingStore) -> None:
    assert receipts(store) == []


def test_receipts_lie_in_the_results(store: CountingStore) -> None:
    made = [finish(store, n, rows=n) for n in range(4)]
    assert receipts(store, 0, 1, 2, 3) == made
    assert receipts(store, 1, 3) == [made[1], made[3]]


def test_a_restart_reads_few_files(store: CountingStore) -> None:
    ledger = opened(store)
    made = [finish(store, n) for n in range(100)]
    for receipt in made:
        ledger.add(receipt)
    ledger.flush()
    late = finish(store, 100)  # the driver was killed before it could note this one
    store.read_names.clear()
    assert receipts(store, *range(101)) == [*made, late]
    assert store.read_names == [f"{FOLDER}/receipts-000000.jsonl", f"{FOLDER}/{part(100)}.parquet"]


def test_what_a_restart_had_to_look_up_is_noted_for_the_next(store: CountingStore) -> None:
    made = [finish(store, n) for n in range(3)]
    ledger = opened(store)
    assert sorted(r.part for r in ledger.receipts([part(n) for n in range(3)])) == [r.part for r in made]
    ledger.flush()
    store.read_names.clear()
    assert receipts(store, 0, 1, 2) == made
    assert store.read_names == [f"{FOLDER}/receipts-000000.jsonl"]


def test_segments_may_be_deleted(store: CountingStore, tmp_path: Path) -> None:
    made = []
    for number in range(3):
        ledger = opened(store)
        made.append(finish(store, number))
        ledger.add(made[-1])
        ledger.flush()
    segments = sorted((tmp_path / FOLDER).glob("receipts-*.jsonl"))
    assert [path.name for path in segments] == [f"receipts-{n:06d}.jsonl" for n in range(3)]
    for path in (segments[1], segments[0], segments[2]):
        path.unlink()
        assert receipts(store, 0, 1, 2) == made


def test_a_segment_never_takes_the_place_of_another(store: CountingStore) -> None:
    made = [finish(store, n) for n in range(3)]
    for receipt in made[:2]:
        ledger = opened(store)
        ledger.add(receipt)
        ledger.flush()
    store.remove(f"{FOLDER}/receipts-000000.jsonl")
    ledger = opened(store)
    ledger.add(made[2])
    ledger.flush()
    assert [name for name in store.names(FOLDER) if name.endswith("jsonl")] == [
        "receipts-000001.jsonl",
        "receipts-000002.jsonl",
    ]
    assert receipts(store, 0, 1, 2) == made


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"step": "ground", "pa',
        b"\xff\xfe not text\n",
        b"[1, 2]\n",
        b'{"another": "program wrote this"}\n',
        b'{"step": "ground", "part": "0000000000000000", "rows_in": 3, "rows_out": 9, "rejected": {}, '
        b'"failed": {}, "seconds": 0, "versions": {}, "details": {}}\n',
    ],
    ids=["empty", "torn", "binary", "no object", "foreign", "does not add up"],
)
def test_a_damaged_segment_costs_nothing_but_time(store: CountingStore, tmp_path: Path, text: bytes) -> None:
    ledger = opened(store)
    made = [finish(store, 0), finish(store, 1)]
    ledger.add(made[0])
    ledger.add(made[1])
    ledger.flush()
    whole = tmp_path / FOLDER / "receipts-000000.jsonl"
    whole.write_bytes(whole.read_bytes().splitlines(keepends=True)[1] + text)
    assert receipts(store, 0, 1) == made


def test_a_part_that_was_done_again_counts_as_it_is_now(store: CountingStore) -> None:
    for rows in (5, 4, 3):
        ledger = opened(store)
        ledger.add(finish(store, 0, rows))
        ledger.flush()
    assert [receipt.rows_in for receipt in receipts(store, 0)] == [3]
    ledger.add(finish(store, 0, 2))
    ledger.add(finish(store, 0, 1))
    ledger.flush()
    assert [receipt.rows_in for receipt in receipts(store, 0)] == [1]


def test_receipts_are_noted_after_many_and_after_a_while(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def segments() -> int:
        return len(list((tmp_path / FOLDER).glob("*.jsonl")))

    monkeypatch.setattr(ledger_module, "_FLUSH_COUNT", 3)
    ledger = opened(store)
    seen = []
    for number in range(7):
        ledger.add(finish(store, number))
        seen.append(segments())
    assert seen == [0, 0, 1, 1, 1, 2, 2]
    monkeypatch.setattr(ledger_module, "_FLUSH_SECONDS", -1.0)
    ledger.add(finish(store, 7))
    assert segments() == 3
    ledger.flush()
    assert segments() == 3
    assert [r.part for r in receipts(store, *range(8))] == [part(n) for n in range(8)]

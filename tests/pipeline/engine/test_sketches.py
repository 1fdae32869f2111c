"""Sketches and decisions of a global stage, on their way through files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gritmill.pipeline.engine.plan import Parts, Resources, Step
from gritmill.pipeline.engine.results import make_result, write_result
from gritmill.pipeline.engine.sketches import Decisions, StoredSketches, write_decision
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, Span

TYPES = {"_keep": bool, "_near": list[str], "_span": Span}


def decision(*numbers: int) -> Columns:
    return {
        "_keep": [n % 2 == 0 for n in numbers],
        "_near": [[f"sample {n}"] * (n % 3) for n in numbers],
        "_span": [Span(n, n + 1) for n in numbers],
    }


@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [decision()],
        [decision(1, 2, 3)],
        [decision(), decision(1, 2), decision(), decision(), decision(3), decision()],
        [decision(n) for n in range(300)],
    ],
    ids=["no parts", "one empty", "one", "empty ones between", "many"],
)
def test_each_part_finds_its_decision_again(tmp_path: Path, decisions: list[Columns]) -> None:
    store = Store(str(tmp_path))
    assert write_decision(store, "d/decision.arrow", iter(decisions), TYPES) == len(decisions)
    stored = Decisions(store, "d/decision.arrow", TYPES)
    assert list(stored) == decisions
    for number in reversed(range(len(decisions))):
        assert stored[number] == decisions[number]


def test_a_decision_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    def decide() -> Iterator[Columns]:
        yield decision(1)
        raise ValueError("lost the thread")

    store = Store(str(tmp_path))
    with pytest.raises(ValueError, match="lost the thread"):
        write_decision(store, "decision.arrow", decide(), TYPES)
    assert not store.exists("decision.arrow")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_sketches_come_in_the_order_of_the_parts_as_often_as_asked(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    parts = Parts.of({"n": n} for n in range(20))
    step = Step("shards", "sketch", "0123456789abcdef", Resources(1, 0), {"key_hash": int, "name": str})
    for unit in reversed(list(parts)):
        rows = list(range(unit.index % 3))
        columns: Columns = {"key_hash": [unit.index] * len(rows), "name": [f"é{n}" for n in rows]}
        write_result(
            store, step.result(unit.id), make_result(step.name, unit.id, rows, columns, step.writes, 0, {})
        )
    sketches = StoredSketches(store, step, parts)
    assert len(sketches) == 20
    expected = [{"key_hash": [n] * (n % 3), "name": [f"é{i}" for i in range(n % 3)]} for n in range(20)]
    assert list(sketches) == expected
    assert list(sketches) == expected

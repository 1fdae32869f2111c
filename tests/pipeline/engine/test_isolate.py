import pytest

from gritmill.pipeline.engine.isolate import ContractError, process_isolated
from gritmill.pipeline.engine.results import Failure
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError


class Picky:
    """Raises for batches with certain numbers in them, and counts its calls."""

    def __init__(self, bad: set[int], largest: int = 10**6) -> None:
        self.bad, self.largest, self.calls = bad, largest, 0

    def __call__(self, batch: Columns) -> Columns:
        self.calls += 1
        if self.bad & set(batch["n"]):
            raise ValueError("not this one")
        if len(batch["n"]) > self.largest:
            raise MemoryError("too many at once")
        return {"twice": [2 * n for n in batch["n"]]}


@pytest.mark.parametrize("bad", [set(), {0}, {99}, {3, 4, 70}, set(range(100))])
def test_only_bad_rows_fail(bad: set[int]) -> None:
    out = process_isolated(Picky(bad), {"n": list(range(100))}, ("twice",))
    assert [isinstance(value, Failure) for value in out["twice"]] == [n in bad for n in range(100)]
    assert [v for v in out["twice"] if not isinstance(v, Failure)] == [
        2 * n for n in range(100) if n not in bad
    ]
    assert all(
        repr(v) == repr(Failure("ValueError", "not this one")) for v in out["twice"] if isinstance(v, Failure)
    )


def test_one_bad_row_of_a_thousand_takes_few_calls() -> None:
    picky = Picky({777})
    process_isolated(picky, {"n": list(range(1000))}, ("twice",))
    assert picky.calls <= 2 * 10 + 1


def test_a_batch_too_large_for_memory_is_done_in_smaller_ones() -> None:
    out = process_isolated(Picky(set(), largest=13), {"n": list(range(100))}, ("twice",))
    assert out["twice"] == [2 * n for n in range(100)]


@pytest.mark.parametrize("error", [UserError("mend it"), ContractError("a bug")])
def test_what_no_row_is_to_blame_for_goes_through(error: Exception) -> None:
    def process(batch: Columns) -> Columns:
        raise error

    with pytest.raises(type(error)):
        process_isolated(process, {"n": [1, 2]}, ("twice",))


@pytest.mark.parametrize("out", [{"twice": [1]}, {"twice": [1, 2, 3]}, {"thrice": [1, 2]}, {}])
def test_a_broken_contract_is_no_row_s_fault(out: Columns) -> None:
    with pytest.raises(ContractError):
        process_isolated(lambda batch: out, {"n": [1, 2]}, ("twice",))

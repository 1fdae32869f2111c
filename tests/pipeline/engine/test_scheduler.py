import random
from collections import Counter

import numpy as np
import pytest

from gritmill.pipeline.engine.plan import Unit
from gritmill.pipeline.engine.scheduler import DEATHS_OF_A_PART, DEATHS_OF_A_ROW, CannotSplit, Scheduler
from gritmill.pipeline.engine.tasks import Rows, Task


class FewUnits:
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Unit:
        return Unit(index, f"unit{index}", {"index": index})


def scheduler(
    units: int, steps: tuple[int, ...] = (0, 1, 2), done: object = None, rows: int | None = 8
) -> Scheduler:
    nothing = [np.zeros(units, dtype=bool) for _ in steps]
    return Scheduler(steps, FewUnits(units), done or nothing, lambda step, unit: rows)  # type: ignore[arg-type]


def drain(this: Scheduler) -> list[tuple[int, int]]:
    order = []
    while task := this.take(this.steps):
        order.append((task.step, task.unit.index))
        this.finished(task)
    return order


def test_a_unit_goes_through_its_steps_in_order_and_is_finished_before_another_begins() -> None:
    assert drain(scheduler(2)) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


def test_what_is_done_is_not_done_again() -> None:
    done = [np.array(row) for row in ([True, True, False], [False, True, False], [True, False, False])]
    this = scheduler(3, done=done)
    assert this.remaining == 5
    assert sorted(drain(this)) == [(0, 2), (1, 0), (1, 2), (2, 1), (2, 2)]
    assert this.remaining == 0


def test_a_pool_gets_only_tasks_of_its_steps() -> None:
    this = scheduler(2)
    assert this.take({1}) is None
    task = this.take({0})
    assert task is not None
    this.finished(task)
    follower = this.take({1, 2})
    assert follower is not None and (follower.step, follower.unit.index) == (1, 0)


def run_with_killers(killers: set[int], rows: int, chance_deaths: Counter[Rows | None]) -> dict[str, object]:
    """Plays a pool whose workers die on certain rows, and now and then by chance."""
    this = scheduler(1, steps=(0,), rows=rows)
    log: dict[str, object] = {"blamed": [], "merged": None, "runs": 0}
    while task := this.take(this.steps):
        if task.action == "merge":
            log["merged"] = task.pieces
        elif task.action == "blame":
            log["blamed"].append(task.rows)  # type: ignore[attr-defined]
        else:
            log["runs"] += 1  # type: ignore[operator]
            inside = range(*(task.rows or (0, rows)))
            if chance_deaths[task.rows] > 0 or killers & set(inside):
                chance_deaths[task.rows] -= 1
                this.died(task)
                continue
        this.finished(task)
    assert this.remaining == 0
    return log


@pytest.mark.parametrize("killers", [{0}, {7}, {3}, {2, 3}, {0, 5, 7}, set(range(8))])
def test_rows_that_kill_are_found_and_the_others_are_kept(killers: set[int]) -> None:
    log = run_with_killers(killers, 8, Counter())
    assert sorted(log["blamed"]) == [(row, row + 1) for row in sorted(killers)]  # type: ignore[call-overload]
    pieces = log["merged"]
    assert isinstance(pieces, tuple)
    assert [row for piece in pieces for row in range(*piece)] == list(range(8))


def test_chance_deaths_blame_nobody() -> None:
    chance = random.Random(0)
    for _ in range(50):
        deaths: Counter[Rows | None] = Counter(
            {None: chance.randrange(3), (0, 4): chance.randrange(2), (0, 1): DEATHS_OF_A_ROW - 1}
        )
        assert run_with_killers(set(), 8, deaths)["blamed"] == []


def test_finding_one_killer_takes_about_two_tries_a_halving() -> None:
    log = run_with_killers({700}, 1024, Counter())
    assert log["runs"] <= DEATHS_OF_A_PART + 2 * 10 + DEATHS_OF_A_ROW  # type: ignore[operator]


def test_a_step_without_rows_is_tried_again_and_then_given_up() -> None:
    this = scheduler(1, steps=(0,), rows=None)
    for _ in range(DEATHS_OF_A_ROW - 1):
        task = this.take((0,))
        assert isinstance(task, Task)
        this.died(task)
    task = this.take((0,))
    assert isinstance(task, Task)
    with pytest.raises(CannotSplit):
        this.died(task)

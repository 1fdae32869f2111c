"""What is to be done next in a pass. Pure bookkeeping: knows nothing of Ray, files or time."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import numpy as np

from gritmill.pipeline.engine.plan import Unit
from gritmill.pipeline.engine.tasks import Action, Rows, Task

DEATHS_OF_A_PART = 2
"""Workers that may die on a part before it is split."""
DEATHS_OF_A_ROW = 3
"""Workers that may die on a single row before it is blamed: killing has other causes, too."""


class Units(Protocol):
    """Parts or shards."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Unit: ...


class CannotSplit(Exception):
    """Workers die on a task that has no rows to split by; its `task` says which."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"workers keep dying on step {task.step}, {task.unit.id}")
        self.task = task


class Scheduler:
    """Takes every unit through the steps of a pass that it has not done yet.

    A unit's next step is ready as soon as the one before is done; steps further on go first, so that
    parts are finished rather than begun. Memory: one byte a unit and step, and four for those that
    wait at the start.
    """

    def __init__(
        self,
        steps: Sequence[int],
        units: Units,
        done: Sequence[np.ndarray[Any, np.dtype[np.bool_]]],
        rows_in: Callable[[int, Unit], int | None],
    ) -> None:
        """`done[i]` says which units have done `steps[i]`; `rows_in(step, unit)` how many rows the
        step is given, or None if it cannot be split by rows."""
        self.steps = tuple(steps)
        self.units = units
        self.rows_in = rows_in
        self.todo = ~np.array(done, dtype=bool).reshape(len(self.steps), len(units))
        self.remaining = int(self.todo.sum())
        first = np.where(self.todo.any(axis=0), self.todo.argmax(axis=0), len(self.steps))
        self._fresh = [np.flatnonzero(first == i).astype(np.uint32) for i in range(len(self.steps))]
        self._taken = [0] * len(self.steps)
        self._ready: list[deque[int]] = [deque() for _ in self.steps]
        self._repairs: deque[Task] = deque()
        self._deaths: dict[_Identity, int] = {}
        self._splits: dict[tuple[int, int], _Split] = {}

    def take(self, allowed: Collection[int]) -> Task | None:
        """The next task of one of these steps that is ready, if any."""
        for _ in range(len(self._repairs)):
            task = self._repairs.popleft()
            if task.step in allowed:
                return task
            self._repairs.append(task)
        for i in reversed(range(len(self.steps))):
            if self.steps[i] not in allowed:
                continue
            if self._ready[i]:
                return Task(self.steps[i], self.units[self._ready[i].popleft()])
            if self._taken[i] < len(self._fresh[i]):
                self._taken[i] += 1
                return Task(self.steps[i], self.units[int(self._fresh[i][self._taken[i] - 1])])
        return None

    def finished(self, task: Task) -> bool:
        """Notes that a task is done; True if that completes its step on its unit."""
        self._deaths.pop(_identity(task), None)
        place = (task.step, task.unit.index)
        if task.rows is not None:
            split = self._splits[place]
            split.waiting.discard(task.rows)
            if not split.waiting:
                self._repairs.append(Task(task.step, task.unit, "merge", pieces=tuple(sorted(split.pieces))))
            return False
        self._splits.pop(place, None)
        self.remaining -= 1
        for i in range(self.steps.index(task.step) + 1, len(self.steps)):
            if self.todo[i, task.unit.index]:
                self._ready[i].append(task.unit.index)
                break
        return True

    def died(self, task: Task) -> None:
        """Notes that a worker died on a task, and plans what to do about it.

        Once may be chance: the task is tried again. After that the part is halved, and halved
        again, until the row that kills stands alone and is blamed. Raises `CannotSplit` for steps
        that do not go by rows.
        """
        identity = _identity(task)
        deaths = self._deaths[identity] = self._deaths.get(identity, 0) + 1
        rows = task.rows
        if rows is None and task.action == "run":
            count = self.rows_in(task.step, task.unit)
            rows = None if count is None else (0, count)
        if rows is None or rows[0] == rows[1]:
            if deaths >= DEATHS_OF_A_ROW:
                raise CannotSplit(task)
            self._repairs.append(task)
            return
        allowed = DEATHS_OF_A_ROW if rows[1] - rows[0] == 1 else DEATHS_OF_A_PART if task.rows is None else 1
        if deaths < allowed:
            self._repairs.append(task)
        elif rows[1] - rows[0] == 1:
            self._split(task, [rows], action="blame")
        else:
            middle = (rows[0] + rows[1]) // 2
            self._split(task, [(rows[0], middle), (middle, rows[1])], action="run")

    def _split(self, task: Task, into: list[Rows], action: Action) -> None:
        self._deaths.pop(_identity(task), None)
        split = self._splits.setdefault((task.step, task.unit.index), _Split())
        if task.rows is not None:
            split.waiting.discard(task.rows)
            split.pieces.discard(task.rows)
        split.waiting.update(into)
        split.pieces.update(into)
        self._repairs.extend(Task(task.step, task.unit, action, rows) for rows in into)


_Identity = tuple[int, int, Action, Rows | None]


def _identity(task: Task) -> _Identity:
    return (task.step, task.unit.index, task.action, task.rows)


class _Split:
    """The slices that a part has been cut into, and those that are not done yet."""

    def __init__(self) -> None:
        self.pieces: set[Rows] = set()
        self.waiting: set[Rows] = set()

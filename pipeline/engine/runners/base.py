"""What a runner is: it takes tasks from a scheduler and has workers do them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gritmill.pipeline.engine.plan import Step
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.scheduler import Scheduler
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.worker import Worker

Finished = Callable[[Task, Receipt], None]
"""Called with every step that is complete on a unit."""


class Runner(Protocol):
    """Where tasks run. What they write does not depend on it."""

    def start(self, make_worker: Callable[[], Worker], steps: Sequence[Step]) -> None:
        """Gets ready. `make_worker` is called wherever a worker is to live."""

    def execute(self, scheduler: Scheduler, finished: Finished) -> None:
        """Does all tasks of the scheduler. Raises what a task raised that was not a row's fault."""

    def call(self, task: Task) -> Receipt:
        """Does one task and waits for it."""
        ...

    def close(self) -> None:
        """Stops all workers."""

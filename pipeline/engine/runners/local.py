"""Runs tasks one after another in this process: for debugging, and where Ray is not wanted."""

import gc
from collections.abc import Callable, Sequence

from gritmill.pipeline.engine.plan import Step
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.runners.base import Finished
from gritmill.pipeline.engine.scheduler import Scheduler
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.worker import Worker
from gritmill.schemas.errors import UserError


class LocalRunner:
    """The same bytes as `RayRunner`, with prints, breakpoints and tracebacks where they happen."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def start(self, make_worker: Callable[[], Worker], steps: Sequence[Step]) -> None:
        for step in steps:
            if step.resources.pinned_packages:
                raise UserError(
                    f"{step.name} needs workers with {', '.join(step.resources.pinned_packages)}, which only "
                    "Ray makes; leave --runner local out"
                )
        self._worker = make_worker()

    def execute(self, scheduler: Scheduler, finished: Finished) -> None:
        while task := scheduler.take(scheduler.steps):
            receipt = self.call(task)
            if scheduler.finished(task):
                finished(task, receipt)

    def call(self, task: Task) -> Receipt:
        assert self._worker is not None
        return self._worker.run(task)

    def close(self) -> None:
        self._worker = None
        gc.unfreeze()

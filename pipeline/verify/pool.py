"""Checks many shards in several processes, and survives what kills one of them."""

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from gritmill.pipeline.verify.findings import Findings, ShardReport
from gritmill.pipeline.verify.shard import ShardCheck, check_shard


def check_all(tasks: Sequence[ShardCheck], jobs: int) -> Iterator[ShardReport]:
    """What was seen in each, in order; `jobs` processes share them."""
    if jobs == 1 or len(tasks) == 1:
        yield from map(check_shard, tasks)
        return
    left = deque(tasks)
    while left:
        try:
            for report in _in_pool(list(left), jobs):
                left.popleft()
                yield report
        except BrokenProcessPool:  # a worker died, and with it the pool
            yield _check_alone(left.popleft())


def _in_pool(tasks: list[ShardCheck], jobs: int) -> Iterator[ShardReport]:
    with _pool(min(jobs, len(tasks))) as pool:
        running: deque[Future[ShardReport]] = deque()
        for task in tasks:
            running.append(pool.submit(check_shard, task))
            if len(running) > 2 * jobs:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _check_alone(task: ShardCheck) -> ShardReport:
    """Finds out whether it was this shard that killed the worker."""
    with _pool(1) as pool:
        try:
            return pool.submit(check_shard, task).result()
        except BrokenProcessPool:
            report = ShardReport(task.shard, Findings(task.limit))
            report.findings.add("crashed", task.shard, "", "out of memory, or a bug in an image codec")
            return report


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Not fork: the connections of remote filesystems do not survive it.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))

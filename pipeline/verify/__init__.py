"""Checks the shards of any webdataset, ours or not, and says what is wrong with them.

    report = verify(["out/grit"], jobs=8)
    print(render(report))
    report.ok

Reads each shard once and keeps a sample's facts no longer than the sample. Nothing is unpickled, and
no member is ever extracted.
"""

import multiprocessing
import os
import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from pipeline.verify.findings import KINDS, Finding, Findings, MemberSet, Report, ShardReport, render
from pipeline.verify.locate import expected_checksums, find_shards, missing_shards
from pipeline.verify.shard import Task, check_shard

__all__ = ["KINDS", "Finding", "Report", "ShardReport", "render", "verify"]


def verify(
    urls: Sequence[str],
    jobs: int | None = None,
    limit: int = 20,
    on_shard: Callable[[ShardReport], None] | None = None,
) -> Report:
    """Checks all shards that the paths, globs, folders or fsspec URLs stand for.

    `jobs` processes share the shards (default: one a core); `limit` findings of each kind are listed;
    `on_shard` is called after each shard, in order. Raises `UserError` if there are no shards.
    """
    shards = find_shards(urls)
    sums = expected_checksums(shards)
    report = Report(Findings(limit))
    for kind, shard, message in missing_shards(shards):
        report.findings.add(kind, shard, "", message)
    member_sets: dict[str, dict[tuple[str, ...], MemberSet]] = {}
    for result in _check_all([Task(s, sums[s], limit) for s in shards], jobs or os.cpu_count() or 1):
        report.shards += 1
        report.samples += result.samples
        report.images += result.images
        report.regions += result.regions
        report.bytes += result.bytes
        report.shards_in_key_order += result.in_key_order
        report.checksums += bool(sums[result.shard])
        report.findings.extend(result.findings)
        _merge(member_sets.setdefault(_split(result.shard), {}), result.member_sets)
        if on_shard:
            on_shard(result)
    for sets in member_sets.values():
        _odd_ones(sets, report.findings)
    return report


def _check_all(tasks: list[Task], jobs: int) -> Iterator[ShardReport]:
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


def _in_pool(tasks: list[Task], jobs: int) -> Iterator[ShardReport]:
    with _pool(min(jobs, len(tasks))) as pool:
        running: deque[Future[ShardReport]] = deque()
        for task in tasks:
            running.append(pool.submit(check_shard, task))
            if len(running) > 2 * jobs:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _check_alone(task: Task) -> ShardReport:
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


def _split(shard: str) -> str:
    """Shards of one dataset split: the same name but for the numbers."""
    folder, name = posixpath.split(shard)
    return posixpath.join(folder, re.sub(r"\d+", "0", name))


def _merge(into: dict[tuple[str, ...], MemberSet], new: dict[tuple[str, ...], MemberSet]) -> None:
    for members, seen in new.items():
        before = into.get(members)
        into[members] = before._replace(samples=before.samples + seen.samples) if before else seen


def _odd_ones(sets: dict[tuple[str, ...], MemberSet], findings: Findings) -> None:
    usual = max(sets, key=lambda members: sets[members].samples, default=())
    for members, (count, shard, key) in sets.items():
        if members != usual:
            message = f"{count:,} samples have {', '.join(members)}; most have {', '.join(usual)}"
            findings.add("member_set", shard, key, message, count)

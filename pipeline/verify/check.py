"""Checks all shards of what the user names, one by one and then against each other."""

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from itertools import chain

from gritmill.pipeline.storage.checksums import listed
from gritmill.pipeline.verify.findings import Findings, MemberSet, ShardReport, VerifyReport
from gritmill.pipeline.verify.leakage import ImagesSeen, leaks, split_of
from gritmill.pipeline.verify.locate import (
    exists,
    find_shards,
    is_shard,
    listed_files,
    missing_shards,
)
from gritmill.pipeline.verify.pool import check_all
from gritmill.pipeline.verify.shard import ShardCheck


def verify(
    urls: Sequence[str],
    jobs: int | None = None,
    limit: int = 20,
    on_shard: Callable[[ShardReport], None] | None = None,
) -> VerifyReport:
    """Checks all shards that the paths, globs, folders or fsspec URLs stand for.

    Of a folder with `SHA256SUMS` the other files are compared with their checksums, too. `jobs` processes
    share the work (default: one a core); `limit` findings of each kind are listed; `on_shard` is called after
    each file, in order. Raises `UserError` if there are no shards.
    """
    shards = find_shards(urls)
    tasks = [ShardCheck(shard, told and told.sha256, limit) for shard, told in listed(shards).items()]
    report = VerifyReport(Findings(limit))
    for kind, shard, message in missing_shards(shards):
        report.findings.add(kind, shard, "", message)
    for file, sha256 in chain.from_iterable(listed_files(url).items() for url in urls):
        if not exists(file):
            report.findings.add("missing_file", file, "", "not there")
        elif not is_shard(file):
            tasks.append(ShardCheck(file, sha256, limit, is_tar=False))
    member_sets: dict[str, dict[tuple[str, ...], MemberSet]] = {}
    seen: list[tuple[str, ImagesSeen]] = []
    for task, result in zip(tasks, check_all(tasks, jobs or os.cpu_count() or 1), strict=True):
        _add(report, result, task)
        _merge(member_sets.setdefault(_series(task.shard), {}), result.member_sets)
        if split_of(task.shard):
            seen.append((task.shard, result.seen))
        if on_shard:
            on_shard(result)
    for sets in member_sets.values():
        _odd_ones(sets, report.findings)
    for kind, shard, key, also in leaks(seen):
        report.findings.add(kind, shard, key, f"also in {also}")
    return report


def _add(report: VerifyReport, result: ShardReport, task: ShardCheck) -> None:
    report.shards += task.is_tar
    report.files += not task.is_tar
    report.samples += result.samples
    report.images += result.images
    report.regions += result.regions
    report.bytes += result.bytes
    report.shards_in_key_order += result.in_key_order and task.is_tar
    report.checksums += bool(task.sha256)
    report.findings.extend(result.findings)


def _series(shard: str) -> str:
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

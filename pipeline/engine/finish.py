"""Makes a folder of shards a dataset: what is stale, checksums, statistics, report."""

import functools
import hashlib
import importlib.metadata
import json
import posixpath
import re
from collections.abc import Sequence

from gritmill.pipeline.engine.funnel import funnel_markdown
from gritmill.pipeline.engine.identity import digest
from gritmill.pipeline.engine.plan import Plan, Step, kept_columns
from gritmill.pipeline.engine.receipts import Receipt, Total
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.results import read_receipt
from gritmill.pipeline.engine.write_shard import fragment, shard_path
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.output.scores import scores_in
from gritmill.pipeline.output.shards import Shard
from gritmill.pipeline.storage.checksums import SUMS, HashingFile, format_sums
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.column_types import type_word
from gritmill.schemas.public import public
from gritmill.schemas.records import TYPES

STATS = "stats.json"
REPORT = "report.md"
SOURCE = "source.sha256"
"""Holds the digest of the source that the dataset was made from, in a line of its own."""
_WRITTEN = re.compile(r"(train|validation|test)(-\d{5}-of-\d{5})?\.(tar|parquet|json)").fullmatch


def drop_stale(output: Store, job: Job, shards: Sequence[Shard]) -> None:
    """Removes the files that an earlier state of the recipe wrote and this one will not. Whatever
    else somebody keeps beside them stays."""
    wanted = {shard_path(name, shard) for name in job.output.formats for shard in shards}
    folders = {
        posixpath.dirname(FORMATS[name].path("train", 0, 1)) for name in {*FORMATS, *job.output.formats}
    }
    for folder in sorted(folders):
        for name in output.names(folder):
            if f"{folder}/{name}" not in wanted and _WRITTEN(name):
                output.remove(f"{folder}/{name}")
        output.clean(folder)


def is_written(output: Store, work: Store, step: Step, shard: Shard, formats: Sequence[str]) -> bool:
    """True if the files that a shard's receipt tells of are all there, with their sizes."""
    details = read_receipt(work, step.result(shard.name)).details
    for name in formats:
        if FORMATS[name].merge is None:
            path = shard_path(name, shard)
            if output.size(path) != details.get(f"{path} bytes"):
                return False
        elif not work.exists(fragment(step, shard, name)):
            return False
    return True


def finish(
    plan: Plan,
    work: Store,
    output: Store,
    shards: Sequence[Shard],
    totals: dict[str, Total],
    limit: int | None = None,
) -> str:
    """Joins what is one file a split, then writes report, statistics and, last, the checksums.

    Returns the report's path. A folder with `SHA256SUMS` in it is complete.
    """
    step, formats = plan.steps[plan.write], plan.job.output.formats
    receipts = {shard: read_receipt(work, step.result(shard.name)) for shard in shards}
    sums: dict[str, str] = {}
    for shard, receipt in receipts.items():
        for name in formats:
            if FORMATS[name].merge is None:
                path = shard_path(name, shard)
                sums[path] = str(receipt.details[path])
    for name in formats:
        for split in dict.fromkeys(shard.split for shard in shards):
            if FORMATS[name].merge is not None:
                path, digest = _merge(name, [s for s in shards if s.split == split], step, work, output)
                sums[path] = digest
    stats = statistics(plan, receipts, totals, limit)
    if kept := kept_columns(plan.steps):
        types = {name: type_word(kind) for name, kind in kept.items()}
        output.write(TYPES, (json.dumps(types, indent=2) + "\n").encode())
    else:
        output.remove(TYPES)
    output.write(STATS, (json.dumps(stats, indent=2, ensure_ascii=False) + "\n").encode())
    content = format_sums(sums)
    is_same = output.exists(SUMS) and output.read(SUMS) == content
    scores = scores_in(output.read(REPORT).decode()) if is_same and output.exists(REPORT) else ""
    output.write(REPORT, (funnel_markdown(plan.job.name, totals, stats) + scores).encode())
    output.write(SOURCE, f"{plan.source.digest()}\n".encode())
    if not is_same:
        output.write(SUMS, content)
    return output.url(REPORT)


def fingerprint_of(output: Store) -> str:
    """Of a finished dataset's checksums: the same for the same bytes."""
    return hashlib.sha256(output.read(SUMS)).hexdigest()[:16]


def statistics(
    plan: Plan, receipts: dict[Shard, Receipt], totals: dict[str, Total], limit: int | None = None
) -> dict[str, object]:
    """What `stats.json` holds: nothing of when or where, so that equal runs give equal bytes. `limit` is in
    it where one was given.

    `gritmill` says which code wrote the dataset: the version of the package and a digest of the code of all
    steps. The identities of the steps are not in it: they depend on where the source lies.
    """
    splits: dict[str, dict[str, int]] = {}
    for shard, receipt in receipts.items():
        split = splits.setdefault(shard.split, {"shards": 0, "samples": 0, "bytes": 0})
        split["shards"] += 1
        split["samples"] += receipt.rows_out
        split["bytes"] += sum(int(v) for k, v in receipt.details.items() if k.endswith(" bytes"))
    return {
        "name": plan.job.name,
        "gritmill": {"version": installed_version(), "code": code_version(plan)},
        **({} if limit is None else {"limit": limit}),
        "splits": splits,
        "funnel": [
            {
                "step": name,
                "rows_in": total.rows_in,
                "rows_out": total.rows_out,
                "rejected": dict(sorted(total.rejected.items())),
                "failed": dict(sorted(total.failed.items())),
                **({"passed": dict(sorted(total.passed.items()))} if total.passed else {}),
            }
            for name, total in totals.items()
        ],
        "versions": {step.name: public(dict(step.versions)) for step in plan.steps if step.versions},
    }


def installed_version() -> str:
    """Of the gritmill package; "(not installed)" in a checkout that is not."""
    try:
        return importlib.metadata.version("gritmill")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def code_version(plan: Plan) -> str:
    """Digest of all code that a row goes through, from the source to the shards: 16 hex digits."""
    return digest({name: made_of.code.counted for name, made_of in plan.made_of.items()})


def _merge(name: str, shards: list[Shard], step: Step, work: Store, output: Store) -> tuple[str, str]:
    merge = FORMATS[name].merge
    assert merge is not None
    path = shard_path(name, shards[0])
    openers = [functools.partial(work.open, fragment(step, shard, name)) for shard in shards]
    with output.writing(path) as file:
        hashed = HashingFile(file)
        merge(openers, hashed)
    return path, hashed.hexdigest()

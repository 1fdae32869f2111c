"""Runs a job from its source to its finished dataset, doing only what is not there yet."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gritmill.pipeline.engine.finish import drop_stale, finish, is_written
from gritmill.pipeline.engine.identity import SCHEME
from gritmill.pipeline.engine.last_run import SCHEME_FILE, check_scheme, remember
from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.owner import claim, other_dataset
from gritmill.pipeline.engine.plan import Parts, Plan, Shards, Step, Unit, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.receipts import Receipt, Total
from gritmill.pipeline.engine.recipes import RECORDED, Job, record
from gritmill.pipeline.engine.results import read_receipt
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.engine.runners.base import Runner
from gritmill.pipeline.engine.scheduler import Scheduler
from gritmill.pipeline.engine.sketches import Decisions, StoredSketches, read_shards, write_shards
from gritmill.pipeline.engine.tasks import PIECE, Task
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.output.shards import Shard, list_shards
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.lock import locked
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import hidden
from gritmill.stages.base import GlobalStage

log = logging.getLogger(__name__)

# Below this many rows a few failures say nothing about the share; the end of a pass looks again.
_ENOUGH_ROWS = 200


@dataclass(frozen=True)
class Finished:
    """What a run ends with."""

    plan: Plan
    totals: dict[str, Total]
    """By step, in order: the funnel."""
    shards: list[Shard]
    report: str
    """Path of the report."""


def work_directory(job: RunFiles, work: str | None) -> str:
    """Where the results of the steps lie: beside the output unless said otherwise."""
    return work or job.work or job.output.dir.rstrip("/") + ".work"


def run(
    job: Job,
    work: Store,
    runner: Runner,
    progress: Progress,
    limit: int | None = None,
    replace: bool = False,
) -> Finished:
    """Does all that is not done and writes the dataset. Raises `UserError` for what the user can mend.

    Killed at any moment, it goes on from there when called again. Only with `replace` is another finished
    dataset in the output folder replaced.
    """
    output = Store(job.output.dir)
    with locked(work):
        check_scheme(work)
        if hidden():
            # The list of parts and the results hold addresses as they are.
            work.close_to_others()
        work.clean("")
        output.clean("")
        other = other_dataset(output, job, limit)
        if other and not replace:
            raise UserError(f"{other}; choose another output.dir, or replace it with --replace")
        parts = Parts.of(limited(job, limit))
        if not len(parts):
            raise UserError(f"the source ({job.source.type}) has no samples; check its paths")
        plan = make_plan(job, parts)
        if other:
            progress.note(f"{other}: it will be replaced")
        claim(output, job)
        work.write(SCHEME_FILE, SCHEME.encode())
        work.write(RECORDED, record(job.data, work=True))
        if not work.exists(plan.parts_file):
            parts.save(work, plan.parts_file)
        remember(plan, work)
        runner.start(
            functools.partial(
                Worker, plan.steps, job.source, work, plan.parts_file, output, job.output.formats, hidden()
            ),
            plan.steps,
        )
        session = _Session(plan, work, output, runner, progress)
        try:
            with progress:
                for number in range(len(plan.passes)):
                    session.run_pass(number)
                shards = session.write_shards()
        finally:
            session.flush()
            runner.close()
        report = finish(plan, work, output, shards, session.totals, limit)
        return Finished(plan, session.totals, shards, report)


def limited(job: Job, limit: int | None) -> Iterator[dict[str, object]]:
    """The source's parts, cut after `limit` samples. Counting them means reading those parts here."""
    left = limit
    for part in job.source.parts():
        if left is None:
            yield part
            continue
        if left <= 0:
            return
        rows = len(job.source.read(part)["key"])
        yield part if rows <= left else {**part, "limit": left}
        left -= rows


class _Session:
    """One run in progress."""

    def __init__(self, plan: Plan, work: Store, output: Store, runner: Runner, progress: Progress) -> None:
        self.plan, self.work, self.output = plan, work, output
        self.runner, self.progress = runner, progress
        self.totals: dict[str, Total] = {}
        self.ledgers: dict[int, Ledger] = {}

    def run_pass(self, number: int) -> None:
        """Takes all parts through the steps of a pass, then has its decision taken."""
        this = self.plan.passes[number]
        self._do(this.steps, self.plan.parts)
        if this.decide is not None:
            step = self.plan.steps[this.decide]
            self._stop_if_nothing_is_left()
            if not self.work.exists(step.decision):
                self.progress.note(f"{step.name}: deciding over {len(self.plan.parts):,} parts")
                self.runner.call(Task(this.decide, Unit(0, "decision", {}), "decide"))

    def write_shards(self) -> list[Shard]:
        self._stop_if_nothing_is_left()
        shards = self._shards()
        step = self.plan.steps[self.plan.write]
        self._forget_unwritten(step, shards)
        drop_stale(self.output, self.plan.job, shards)
        self._do((self.plan.write,), Shards(shards))
        return shards

    def flush(self) -> None:
        """Saves what the ledgers hold. They are a cache: a full disk, say, is told of by what led here."""
        for ledger in self.ledgers.values():
            with contextlib.suppress(UserError):
                ledger.flush()

    def _forget_unwritten(self, step: Step, shards: list[Shard]) -> None:
        """Removes results of shards whose files are not, or may not be, in the output folder: the
        recipe has written something else there since, or somebody has emptied it."""
        marker = "written"
        ours = self.work.exists(marker) and self.work.read(marker).decode() == step.identity
        formats = self.plan.job.output.formats
        complete = True
        there = {f"{step.folder}/{name}" for name in self.work.names(step.folder)}
        for shard in shards:
            name = step.result(shard.name)
            if name not in there:
                complete = False
            elif not (ours and is_written(self.output, self.work, step, shard, formats)):
                complete = False
                self.work.remove(name)
                # Its receipt may stand in any segment of the ledger, which can do without them.
                for segment in self.work.names(step.folder):
                    if segment.endswith(".jsonl"):
                        self.work.remove(f"{step.folder}/{segment}")
        if not complete:
            # Without its checksums a folder does not pass for a finished dataset.
            self.output.remove(SUMS)
        self.work.write(marker, step.identity.encode())

    def _shards(self) -> list[Shard]:
        """The shards that were decided on, worked out once."""
        shards = read_shards(self.plan, self.work)
        if shards is None:
            sketch = self.plan.sharding
            assert isinstance(sketch.stage, GlobalStage)
            decisions = Decisions(self.work, sketch.decision, sketch.stage.decides)
            shards = list_shards(StoredSketches(self.work, sketch, self.plan.parts), iter(decisions))
            write_shards(self.plan, self.work, shards)
        return shards

    def _do(self, numbers: tuple[int, ...], units: Parts | Shards) -> None:
        done: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
        for number in numbers:
            step = self.plan.steps[number]
            self.work.clean(step.folder)
            names = self.work.names(step.folder)
            ledger = self.ledgers[number] = Ledger(self.work, step.folder, names)
            done.append(units.done(names))
            for name in names:
                if name.endswith(PIECE):  # of a part whose culprit a killed run was looking for
                    self.work.remove(f"{step.folder}/{name}")
            if step.resources.pinned_packages and not done[-1].all():
                wanted = ", ".join(step.resources.pinned_packages)
                self.progress.note(
                    f"{step.name}: wants {wanted}; Ray makes workers that have it, which may take minutes"
                )
            if step.kind != "sketch":
                total = self.totals[step.name] = Total()
                for receipt in ledger.receipts(units.chosen(done[-1])):
                    total.add(receipt)
                self.progress.begin(step.name, len(units), total)
        scheduler = Scheduler(numbers, units, done, self._rows_in)
        self.runner.execute(scheduler, self._finished)
        for number in numbers:
            self.ledgers[number].flush()
            self._check_failures(self.plan.steps[number], at_least=1)

    def _finished(self, task: Task, receipt: Receipt) -> None:
        step = self.plan.steps[task.step]
        if step.kind == "sketch":
            return
        self.ledgers[task.step].add(receipt)
        self.totals[step.name].add(receipt)
        self.progress.update(step.name)
        self._check_failures(step, at_least=_ENOUGH_ROWS)

    def _rows_in(self, number: int, unit: Unit) -> int | None:
        """Rows that a step is given of a part; None for steps that do not go by rows."""
        if self.plan.steps[number].kind not in ("stage", "process"):
            return None
        before = next(step for step in reversed(self.plan.steps[:number]) if step.makes_rows)
        return read_receipt(self.work, before.result(unit.id)).rows_out

    def _check_failures(self, step: Step, at_least: int) -> None:
        limit = self.plan.job.max_failed_fraction
        total = self.totals.get(step.name)
        if total is None or total.failures <= limit * max(total.rows_in, at_least):
            return
        (reason, count), *_ = total.failed.most_common(1)
        raise UserError(
            f"{step.name}: {total.failures:,} of {total.rows_in:,} rows failed, most of them ({count:,}) "
            f"with {reason}. That is more than max_failed_fraction ({limit:g}); look at one with "
            "`pipeline why`, mend it, or raise the limit and run again: what is done is kept."
        )

    def _stop_if_nothing_is_left(self) -> None:
        for name, total in self.totals.items():
            if total.rows_out == 0:
                reasons = ", ".join(f"{reason} {count:,}" for reason, count in total.reasons()[:3])
                why = (
                    f"{name} dropped the last {total.rows_in:,} of them ({reasons})"
                    if reasons
                    else f"{name} gave none"
                )
                raise UserError(f"no sample is left: {why}. Nothing was written.")

"""Does tasks: reads what a step needs, calls its stage, writes the result. Knows nothing of Ray."""

import gc
import time
from collections.abc import Mapping, Sequence

import numpy as np

from gritmill.pipeline.engine.inputs import Inputs, load_columns, load_inputs, writers
from gritmill.pipeline.engine.isolate import process_isolated
from gritmill.pipeline.engine.plan import Parts, Step
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.results import (
    Failure,
    Passed,
    Result,
    make_result,
    merge_results,
    read_receipt,
    read_result,
    write_result,
)
from gritmill.pipeline.engine.signing import signing
from gritmill.pipeline.engine.sketches import Decisions, StoredSketches, write_decision
from gritmill.pipeline.engine.tasks import Rows, Task, piece_name
from gritmill.pipeline.engine.write_shard import ShardTask, write_shard
from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.public import hide
from gritmill.stages.base import GlobalStage, Stage


class Worker:
    """Runs tasks of one plan; a stage is set up at its first task and stays so."""

    def __init__(
        self,
        steps: Sequence[Step],
        source: Source,
        store: Store,
        parts_file: str,
        output: Store,
        formats: Sequence[str],
        hidden: Mapping[str, str] | None = None,
    ) -> None:
        """`hidden` is what must not stand in anything that leaves this process; see `schemas/public.py`."""
        hide(hidden or {})
        self.steps = tuple(steps)
        self.source = source
        self.store = store
        self.parts_file = parts_file
        self.output = output
        self.formats = tuple(formats)
        self._parts: Parts | None = None
        self._ready: set[int] = set()
        self._opened: dict[str, Decisions] = {}

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            self._parts = Parts.load(self.store, self.parts_file)
        return self._parts

    def run(self, task: Task) -> Receipt:
        """Does the task and returns its receipt; its result is on disk by then."""
        step = self.steps[task.step]
        if task.action == "merge":
            return self._merge(step, task)
        if task.action == "decide":
            return self._decide(step, task)
        if step.kind == "write":
            return write_shard(
                ShardTask(self.steps, task.step, self.parts, task.unit), self.store, self.output, self.formats
            )
        result = self._blame(step, task) if task.action == "blame" else self._result(step, task)
        name = (
            step.result(task.unit.id)
            if task.rows is None
            else piece_name(step.folder, task.unit.id, task.rows)
        )
        write_result(self.store, name, result)
        return result.receipt

    def _result(self, step: Step, task: Task) -> Result:
        started = time.perf_counter()
        if step.kind == "source":
            rows, columns = self._read_source(task)
        elif step.kind == "sketch":
            rows, columns = self._sketch(step, task)
        else:
            rows, columns = self._process(step, task)
        seconds = time.perf_counter() - started
        return make_result(step.name, task.unit.id, rows, columns, step.writes, seconds, dict(step.versions))

    def _read_source(self, task: Task) -> Inputs:
        spec = dict(task.unit.spec)
        limit = spec.pop("limit", None)
        columns = self.source.read(spec)
        columns = {name: columns[name][:limit] for name in self.source.provides()}
        return Inputs(list(range(len(columns["key"]))), columns)

    def _sketch(self, step: Step, task: Task) -> Inputs:
        stage = self._set_up(step, task.step)
        assert isinstance(stage, GlobalStage)
        given = load_inputs(self.store, self.steps, task.step, task.unit.id, stage.reads)
        columns = stage.sketch(given.columns)
        return Inputs(list(range(len(next(iter(columns.values()))))), columns)

    def _process(self, step: Step, task: Task) -> Inputs:
        stage = self._set_up(step, task.step)
        rows, columns = load_inputs(self.store, self.steps, task.step, task.unit.id, stage.reads)
        if isinstance(stage, GlobalStage):
            columns |= self._decisions(step, stage)[task.unit.index]
        if task.rows is not None:
            rows, columns = _sliced(rows, columns, task.rows)
        writes, process = tuple(stage.writes), signing(stage, step.name)
        out: Columns = {name: [] for name in writes}
        for start in range(0, len(rows), stage.batch_size):
            batch = {name: values[start : start + stage.batch_size] for name, values in columns.items()}
            for name, values in process_isolated(process, batch, writes).items():
                out[name].extend(values)
        self._let_pass(step, task, rows, out)
        return Inputs(rows, out)

    def _let_pass(self, step: Step, task: Task, rows: list[int], columns: Columns) -> None:
        """A row goes on without what the step would have appended, if there is something already."""
        for name in step.appends:
            values = columns[name]
            refused = [
                i
                for i, value in enumerate(values)
                if isinstance(value, Reject) and not isinstance(value, Failure)
            ]
            if not (refused and writers(self.steps[: task.step], name)):
                continue
            asked = np.array([rows[i] for i in refused], np.int32)
            there = load_columns(self.store, self.steps, task.step, task.unit.id, [name], asked)[name]
            for i, earlier in zip(refused, there, strict=True):
                if earlier:
                    values[i] = Passed(values[i].reason, values[i].value, values[i].threshold)

    def _blame(self, step: Step, task: Task) -> Result:
        assert task.rows is not None
        rows = load_inputs(self.store, self.steps, task.step, task.unit.id, ()).rows
        rows = rows[task.rows[0] : task.rows[1]]
        columns: Columns = {name: [Failure("WorkerDied")] * len(rows) for name in step.writes}
        return make_result(step.name, task.unit.id, rows, columns, step.writes, 0.0, dict(step.versions))

    def _merge(self, step: Step, task: Task) -> Receipt:
        name = step.result(task.unit.id)
        pieces = [piece_name(step.folder, task.unit.id, rows) for rows in task.pieces]
        # A worker that died merging may have written the result and removed some of the pieces.
        if not self.store.exists(name):
            parts = [(read_result(self.store, piece), read_receipt(self.store, piece)) for piece in pieces]
            write_result(self.store, name, merge_results(parts))
        for piece in pieces:
            self.store.remove(piece)
        return read_receipt(self.store, name)

    def _decide(self, step: Step, task: Task) -> Receipt:
        stage = self._set_up(step, task.step)
        assert isinstance(stage, GlobalStage)
        started = time.perf_counter()
        decisions = stage.decide(StoredSketches(self.store, step, self.parts))
        count = write_decision(self.store, step.decision, decisions, stage.decides)
        if count != len(self.parts):
            self.store.remove(step.decision)
            raise AssertionError(f"{step.name} decided on {count} of {len(self.parts)} parts")
        seconds = time.perf_counter() - started
        return Receipt(step.name, "decision", 0, 0, {}, {}, round(seconds, 6), dict(step.versions), {})

    def _decisions(self, step: Step, stage: GlobalStage) -> Decisions:
        if step.decision not in self._opened:
            self._opened[step.decision] = Decisions(self.store, step.decision, stage.decides)
        return self._opened[step.decision]

    def _set_up(self, step: Step, number: int) -> Stage:
        assert step.stage is not None
        if number not in self._ready:
            step.stage.setup()
            self._ready.add(number)
            # A model lives as long as its worker. Unless told so, the garbage collector goes through
            # all of it again and again while rows are made: up to a tenth of a stage's time.
            gc.collect()
            gc.freeze()
        return step.stage


def _sliced(rows: list[int], columns: Columns, part: Rows) -> Inputs:
    start, stop = part
    return Inputs(rows[start:stop], {name: values[start:stop] for name, values in columns.items()})

"""One grounder in a process of its own, so that its memory is nobody else's, with a clock beside it."""

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.grounder_bench.questions import CANDIDATES, run_stage
from pipeline.results import Failure
from schemas.columns import Columns, GroundedBox
from schemas.errors import UserError
from stages.base import Stage


class Answers(NamedTuple):
    """What a grounder found, and what it took."""

    candidates: list[list[GroundedBox]]
    """One list a row; empty where the row failed."""
    failed: list[str]
    """Why, for each row on which it raised."""
    loading: float
    """Seconds until it was ready."""
    seconds: float
    """For all rows, once it was warm."""
    cpu: float
    """Seconds of the processor that it took for them, all its threads together."""
    memory: int
    """The most that its process held, in bytes, Python and libraries included."""
    gpu_memory: int
    """The most that torch held on the GPU, in bytes; 0 without."""


def answer(stage: Stage, columns: Columns) -> Answers:
    """Runs the grounder over the rows in a fresh process.

    Raises whatever its `setup` raises, and `UserError` if the process dies.
    """
    given = {name: columns[name] for name in stage.reads}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        try:
            return pool.submit(_answer, stage, given).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"{type(stage).__name__} died, of too little memory perhaps; give it a smaller batch_size"
            ) from error


def _answer(stage: Stage, columns: Columns) -> Answers:
    start = time.perf_counter()
    stage.setup()
    loading = time.perf_counter() - start
    # Libraries put off a part of their work to the first call.
    run_stage(stage, {name: values[: stage.batch_size] for name, values in columns.items()})
    start, cpu = time.perf_counter(), time.process_time()
    found = run_stage(stage, columns)[CANDIDATES]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Answers(
        [[] if isinstance(row, Failure) else row for row in found],
        [f"{row.reason}: {row.value}" for row in found if isinstance(row, Failure)],
        loading,
        seconds,
        cpu,
        _peak(),
        _gpu_peak(),
    )


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum is handed down from the process that started this one.
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _gpu_peak() -> int:
    torch: Any = sys.modules.get("torch")
    return int(torch.cuda.max_memory_allocated()) if torch and torch.cuda.is_initialized() else 0

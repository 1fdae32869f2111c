"""One grounder in a process of its own, so that its memory is nobody else's, with a clock beside it."""

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from gritmill.pipeline.grounder_bench.questions import CANDIDATES, run_stage
from gritmill.schemas.columns import Columns, GroundedBox, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.base import Stage
from gritmill.stages.segmenters.base import Segment


class Answers(NamedTuple):
    """What a grounder found, and what it took."""

    candidates: list[list[GroundedBox]]
    """One list a row; empty where the row failed or was rejected."""
    failed: list[str]
    """Why, for each row on which it raised or which it rejected."""
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


class Arm(NamedTuple):
    """What is measured: a grounder, and perhaps a segmenter that makes its boxes anew from masks."""

    grounder: Stage
    refiner: Segment | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        others = ["image"] if self.refiner else []
        return tuple(dict.fromkeys([*self.grounder.reads, *others]))

    def setup(self) -> None:
        self.grounder.setup()
        if self.refiner:
            self.refiner.setup()

    def candidates(self, columns: Columns) -> list[list[GroundedBox] | Reject]:
        """Those of each row, as the grounder gives them or as the masks have them."""
        found = run_stage(self.grounder, {name: columns[name] for name in self.grounder.reads})[CANDIDATES]
        if self.refiner is None:
            return found
        rows = [i for i, row in enumerate(found) if not isinstance(row, Reject)]
        given = {"image": [columns["image"][i] for i in rows], "boxes": [found[i] for i in rows]}
        refined = run_stage(self.refiner, given)["boxes"]
        for i, row in zip(rows, refined, strict=True):
            found[i] = row
        return found


def answer(arm: Arm, columns: Columns) -> Answers:
    """Runs the grounder over the rows in a fresh process.

    Raises whatever its `setup` raises, and `UserError` if the process dies.
    """
    given = {name: columns[name] for name in arm.reads}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        try:
            return pool.submit(_answer, arm, given).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"{type(arm.grounder).__name__} died, of too little memory perhaps; give it a smaller "
                "batch_size"
            ) from error


def _answer(arm: Arm, columns: Columns) -> Answers:
    start = time.perf_counter()
    arm.setup()
    loading = time.perf_counter() - start
    # Libraries put off a part of their work to the first call.
    arm.candidates({name: values[: arm.grounder.batch_size] for name, values in columns.items()})
    start, cpu = time.perf_counter(), time.process_time()
    found = arm.candidates(columns)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Answers(
        [[] if isinstance(row, Reject) else row for row in found],
        [": ".join(filter(None, (row.reason, row.value))) for row in found if isinstance(row, Reject)],
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

"""How long a finished run takes to see that nothing is left to do.

    python -m tests.bench.resume_startup [--parts 10000] [--repeats 3] [--profile]

Ten thousand parts of one sample, all steps done. Measured is `run` in this process, from the recipe to
the report, without Ray: once with the segments of the ledger and once without them, when the receipts
are read from the results themselves; and the same for a tenth of the parts.
"""

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from gritmill.pipeline.engine.plan import Parts, Step, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.results import make_result
from gritmill.pipeline.engine.run import Finished, run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.terminal import Console
from gritmill.pipeline.engine.wiring import NamedStage
from gritmill.pipeline.output.shards import AssignShards
from gritmill.pipeline.sources.scenes import ScenesSource
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns
from gritmill.schemas.recipe import Output
from gritmill.stages.image_check import ImageCheck
from tests.bench.tables import print_table


class IdleRunner(LocalRunner):
    """Refuses tasks: everything is done."""

    def call(self, task: Task) -> Receipt:
        raise AssertionError(f"a run with nothing to do did {task}")


def made(folder: Path, parts: int) -> tuple[Job, Store]:
    """A finished run whose results were mostly written from here, which is quicker than doing it."""
    source = ScenesSource(type="scenes", count=parts, part_size=1, captions_per_image=1, size=32)
    stages = [NamedStage("image_check", ImageCheck(min_side=16))]
    job = Job(
        name="bench",
        source=source,
        stages=stages,
        output=Output(dir=str(folder / "out")),
        max_failed_fraction=0.05,
        data={"name": "bench"},
    )
    work = Store(str(folder / "work"))
    plan = make_plan(job, Parts.of(source.parts()))
    all_rows = source.read({"start": 0, "stop": parts})
    facts: Columns = {"width": [32], "height": [32], "image_format": ["jpeg"], "image_bytes": [1000]}
    assign = next(step.stage for step in plan.steps if step.kind == "sketch")
    assert isinstance(assign, AssignShards)
    for number in range(parts):
        one: Columns = {name: [values[number]] for name, values in all_rows.items()}
        columns: dict[str, Columns] = {
            "source": one,
            "stage": facts,
            "sketch": assign.sketch(one | facts),
            "process": {"split": ["train"], "shard": [0]},
        }
        for step in plan.steps:
            if step.kind in columns:
                write_unsynced(work, step, plan.parts[number].id, columns[step.kind])
    run(job, work, LocalRunner(), quiet())
    return job, work


def write_unsynced(work: Store, step: Step, part: str, columns: Columns) -> None:
    result = make_result(step.name, part, [0], columns, step.writes, 0.0, dict(step.versions))
    path = Path(work.full(step.result(part)))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(result.table.replace_schema_metadata({"receipt": result.receipt.to_json()}), path)


def quiet() -> Progress:
    return Progress(Console(quiet=True))


def resumed(job: Job, work: Store) -> tuple[float, Finished]:
    start = time.perf_counter()
    finished = run(job, work, IdleRunner(), quiet())
    return time.perf_counter() - start, finished


def forget_segments(work: Store) -> None:
    for segment in Path(work.path).glob("*/receipts-*.jsonl"):
        segment.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="show where the time goes, too")
    options = parser.parse_args()

    rows = []
    for parts in (options.parts // 10, options.parts):
        with tempfile.TemporaryDirectory() as name:
            job, work = made(Path(name), parts)
            times: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(options.repeats):
                forget_segments(work)
                for segments in (False, True):  # the first run writes them
                    times[segments].append(resumed(job, work)[0])
            with_segments, without = statistics.median(times[True]), statistics.median(times[False])
            rows.append(
                (
                    f"{parts:,}",
                    f"{with_segments:.2f} s",
                    f"{parts / with_segments:,.0f}",
                    f"{without:.2f} s",
                    f"{parts / without:,.0f}",
                    f"{without / with_segments:.1f}",
                )
            )
            if options.profile:
                profiler = cProfile.Profile()
                profiler.runcall(resumed, job, work)
                pstats.Stats(profiler).sort_stats("cumulative").print_stats(35)
    print_table(
        "a finished run of five steps, from its start to nothing to do",
        ["parts", "with segments", "parts/s", "without", "parts/s", "without / with"],
        rows,
    )


if __name__ == "__main__":
    main()

"""What the engine costs: a run against the same stage functions in a plain loop.

    python -m tests.bench.engine_share [--captions 20000] [--images 2000] [--repeats 3] [--profile]

Two tables. First the stages that look at no pixel, on captions of the `scenes` source, in this process:
parts, results, receipts and ledger against a loop that calls the same stages on the same batches and
drops what they reject. Then `pipeline run` with images from disk to finished shards, as a process of
its own with each runner, against a process that does the same in a loop (CPU seconds of all processes
together, Ray's services too). Starting costs the same however much there is to do, so every arm is run
on `--images` and on three times as many, and the CPU time of a sample is that of the difference; the
wall time is that of the larger run, start included.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
    os.environ[threads] = "1"  # as Ray does in its workers; inherited by the processes of the second table

import argparse
import cProfile
import functools
import pstats
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.recipes import Job, load_recipe
from gritmill.pipeline.engine.runners.base import Runner
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.scheduler import Scheduler
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.wiring import NamedStage
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.images import StoredImage
from gritmill.pipeline.sources.scenes import ScenesSource
from gritmill.pipeline.storage.checksums import HashingFile
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.recipe import Output
from gritmill.stages.base import Stage
from gritmill.stages.registry import stage_class
from tests.bench.data import TEXT_STAGES, write_coco, write_recipe
from tests.bench.processes import Usage, watched
from tests.bench.tables import print_table

CAPTIONS_OF_AN_IMAGE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="show where the engine's time goes, and end")
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        loop_to_shard(load_recipe(options.loop))
    elif options.profile:
        profile(options.captions)
    else:
        text(options.captions, options.repeats)
        whole(options.images, options.repeats)


def text(captions: int, repeats: int) -> None:
    chains = {"all": list(TEXT_STAGES), "the first only": list(TEXT_STAGES)[:1]}
    rows = []
    for chain, names in chains.items():
        source = scenes(captions)
        stages = [NamedStage(name, made(name, TEXT_STAGES[name])) for name in names]
        with_engine(scenes(100), stages, LocalRunner())
        engine, loop = [], []
        for _ in range(repeats):
            engine.append(seconds(lambda: with_engine(source, stages, LocalRunner())))  # noqa: B023
            loop.append(seconds(lambda: list(plain(source.parts(), source, stages))))  # noqa: B023
        (engine_wall, engine_cpu), (loop_wall, loop_cpu) = map(medians, (engine, loop))
        extra = (engine_cpu - loop_cpu) / captions / (len(names) + 1)
        rows.append(
            (
                f"{chain}: {', '.join(names)}",
                f"{loop_cpu / captions * 1e6:.0f}",
                f"{extra * 1e6:.1f}",
                f"{1 - loop_cpu / engine_cpu:.1%}",
                f"{1 - loop_wall / engine_wall:.1%}",
            )
        )
    print_table(
        f"{captions:,} captions, one process, median of {repeats} turns",
        [
            "stages after the source",
            "loop: µs CPU a row",
            "engine: µs a row and step",
            "share of CPU",
            "of wall",
        ],
        rows,
    )


def whole(images: int, repeats: int) -> None:
    stages = {"image_check": {}, **TEXT_STAGES}
    arms = ("loop", "local", "ray")
    taken: dict[tuple[str, int], list[Usage]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (images, 3 * images):
            write_coco(Path(folder) / str(size), size)
        for turn in range(repeats):
            for size in (images, 3 * images):
                for arm in arms:
                    recipe = write_recipe(Path(folder) / str(size), stages, 500, out=f"{arm}-{turn}")
                    command = ["-m", "gritmill.pipeline.cli", "run", str(recipe), "--runner", arm]
                    if arm == "loop":
                        command = ["-m", "tests.bench.engine_share", "--loop", str(recipe)]
                    taken.setdefault((arm, size), []).append(watched(command))

    def marginal(arm: str) -> float:
        few, many = (
            statistics.median(usage.cpu for usage in taken[arm, size]) for size in (images, 3 * images)
        )
        return many - few

    def wall_of(arm: str) -> float:
        return statistics.median(usage.wall for usage in taken[arm, 3 * images])

    samples = 2 * images * CAPTIONS_OF_AN_IMAGE
    rows = []
    for arm in arms:
        cpu = marginal(arm)
        wall = wall_of(arm)
        start = statistics.median(usage.cpu for usage in taken[arm, images]) - cpu / 2
        rows.append(
            (
                {"loop": "plain loop", "local": "run --runner local", "ray": "run --runner ray"}[arm],
                f"{start:.1f} s",
                f"{cpu / samples * 1e6:.0f}",
                f"{cpu / marginal('loop'):.2f}",
                f"{1 - marginal('loop') / cpu:.1%}",
                f"{wall:.1f} s",
                f"{wall / wall_of('loop'):.2f}",
            )
        )
    print_table(
        f"{3 * samples // 2:,} samples with images against {samples // 2:,}, median of {repeats} turns",
        [
            "to finished shards",
            "start: CPU",
            "µs CPU a sample",
            "CPU: ratio to loop",
            "engine's share",
            "wall",
            "ratio",
        ],
        rows,
    )


def scenes(captions: int) -> ScenesSource:
    images = captions // CAPTIONS_OF_AN_IMAGE
    return ScenesSource(type="scenes", count=images, captions_per_image=CAPTIONS_OF_AN_IMAGE)


def made(name: str, options: dict[str, object]) -> Stage:
    return stage_class(name, options).model_validate(options)


def with_engine(source: Source, stages: list[NamedStage], runner: Runner) -> None:
    """The first pass of a run up to its last stage: everything but sharding and writing."""
    with tempfile.TemporaryDirectory() as folder:
        work = Store(folder)
        job = Job(
            name="bench",
            source=source,
            stages=stages,
            output=Output(dir=folder),
            max_failed_fraction=0.05,
            data={},
        )
        parts = Parts.of(source.parts())
        plan = make_plan(job, parts)
        parts.save(work, plan.parts_file)
        numbers = tuple(range(len(stages) + 1))
        ledgers = {number: Ledger(work, plan.steps[number].folder, []) for number in numbers}
        runner.start(
            functools.partial(Worker, plan.steps, source, work, plan.parts_file, work, ["webdataset"]),
            plan.steps,
        )
        nothing = [np.zeros(len(parts), dtype=bool) for _ in numbers]

        def finished(task: Task, receipt: Receipt) -> None:
            ledgers[task.step].add(receipt)

        runner.execute(Scheduler(numbers, parts, nothing, lambda step, unit: None), finished)
        for ledger in ledgers.values():
            ledger.flush()
        runner.close()


def plain(parts: Iterable[dict[str, Any]], source: Source, stages: list[NamedStage]) -> Iterator[Columns]:
    """What one would write in a notebook: read, call each stage batch by batch, keep what it keeps."""
    for named in stages:
        named.stage.setup()
    for part in parts:
        columns = source.read(part)
        columns["image"] = [StoredImage(reference) for reference in columns["image"]]
        for named in stages:
            size = named.stage.batch_size
            out: Columns = {name: [] for name in named.stage.writes}
            for start in range(0, len(columns["key"]), size):
                batch = {name: columns[name][start : start + size] for name in named.stage.reads}
                for name, values in named.stage.process(batch).items():
                    out[name].extend(values)
            columns |= out
            kept = [not any(isinstance(v, Reject) for v in row) for row in zip(*out.values(), strict=True)]
            columns = {
                name: [value for value, keep in zip(values, kept, strict=True) if keep]
                for name, values in columns.items()
            }
        yield columns


def loop_to_shard(job: Job) -> None:
    """A whole run as a loop: into one tar, unsynced, by the writer that `run` uses."""
    dataset = FORMATS["webdataset"]
    Path(job.output.dir).mkdir()
    with (Path(job.output.dir) / "train.tar").open("wb") as file:
        writer = dataset.writer(HashingFile(file), "jpg")
        for columns in plain(job.source.parts(), job.source, job.stages):
            for values in zip(*columns.values(), strict=True):
                sample = dict(zip(columns, values, strict=True)) | {"split": "train"}
                writer.add(sample, sample["image"].read())
        writer.close()


def seconds(work: Any) -> tuple[float, float]:
    """(wall, CPU of this process with all its threads)."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(turns: list[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*turns, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def profile(captions: int) -> None:
    """Own time of everything but the stages and the source, by function."""
    stages = [NamedStage(name, made(name, options)) for name, options in TEXT_STAGES.items()]
    source = scenes(captions)
    profiler = cProfile.Profile()
    profiler.runcall(with_engine, source, stages, LocalRunner())
    for order in ("cumulative", "tottime"):
        pstats.Stats(profiler).sort_stats(order).print_stats(r"pipeline/|schemas/|pyarrow|posix|json", 35)


if __name__ == "__main__":
    main()

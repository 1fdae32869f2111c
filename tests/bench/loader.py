"""Samples a second that a loader gives: ours, shuffled and resumable, against a plain webdataset loop.

    python -m tests.bench.loader [--images 1000] [--repeats 5]

Every arm decodes each image and parses each record of the same shards (drawn scenes of 224 pixels with
conversations, made by `recipes/scenes_tasks.yaml`) in a torch DataLoader; batches of 32 are counted, not
sent. webdataset reads from start to end and does not shuffle. Ours makes `Example`s: besides, it checks
the image's size, turns it upright and validates the conversation. Rounds are interleaved, each in its own
random order; the ratios are medians of the rounds' ratios, of wall time and of CPU time with the workers'.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import webdataset
from torch.utils.data import DataLoader

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.files import find
from gritmill.pipeline.storage.store import Store
from gritmill.trainer.data.examples import Example
from gritmill.trainer.data.index import build
from gritmill.trainer.data.order import TrainingOrder
from gritmill.trainer.data.shards import open_split, split_shards
from gritmill.trainer.data.streaming import StreamingShards
from tests.bench.tables import print_table

BATCH = 32
BASE = "webdataset, in order"


def make_shards(folder: Path, images: int) -> str:
    """A dataset of scenes, all of it for training, in eight shards or so."""
    out = folder / "out"
    options = [f"output.dir={out}", f"source.count={images}", f"output.shard_size={images * 4}kB"]
    job = load_recipe(
        "recipes/scenes_tasks.yaml", [*options, "output.splits={}", "output.formats=[webdataset]"]
    )
    run(job, Store(f"{out}.work"), LocalRunner(), Progress())
    return str(out)


def good(batch: list[Any]) -> int:
    return sum(isinstance(item, Example) for item in batch)


def loaded(dataset: Any, workers: int, collate: Callable[[list[Any]], int], order: Any = None) -> int:
    """Samples that come out of a loader."""
    loader = DataLoader(dataset, BATCH, sampler=order, num_workers=workers, collate_fn=collate)
    return sum(loader)


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        out = make_shards(Path(folder), options.images)
        shards = split_shards(out, "train")
        start = time.perf_counter()
        samples = sum(build(file)[0].num_rows for shard in shards for file in find(shard))
        indexing = samples / (time.perf_counter() - start)
        mapped = open_split(out, "train")

        def plain(workers: int) -> int:
            dataset = webdataset.WebDataset(
                shards, shardshuffle=False, workersplitter=webdataset.split_by_worker
            )
            return loaded(dataset.decode("pil").to_tuple("jpg", "json"), workers, len)

        def shuffled(workers: int) -> int:
            order = TrainingOrder([mapped.boxes], [1.0], steps=len(mapped), batch=1)
            return loaded(mapped, workers, good, order)

        def streamed(workers: int) -> int:
            return loaded(StreamingShards(shards, epochs=1), workers, good)

        arms = {
            (name, workers): (lambda arm=arm, workers=workers: arm(workers))
            for name, arm in {
                BASE: plain,
                "ours, any order": shuffled,
                "ours, streamed and shuffled": streamed,
            }.items()
            for workers in (0, 2)
        }
        seconds: dict[tuple[str, int], list[float]] = {arm: [] for arm in arms}
        cpu: dict[tuple[str, int], list[float]] = {arm: [] for arm in arms}
        rng = random.Random(0)
        for _ in range(options.repeats):
            for arm in rng.sample(list(arms), len(arms)):
                start, before = time.perf_counter(), cpu_seconds()
                count = arms[arm]()
                seconds[arm].append(time.perf_counter() - start)
                cpu[arm].append(cpu_seconds() - before)
                if count != samples:
                    raise SystemExit(f"{arm} gave {count} of {samples} samples")

    def ratio(times: dict[tuple[str, int], list[float]], arm: tuple[str, int]) -> str:
        pairs = zip(times[BASE, arm[1]], times[arm], strict=True)
        return f"{statistics.median(base / ours for base, ours in pairs):.2f}"

    rows = [
        (*arm, f"{samples / statistics.median(seconds[arm]):.0f}", ratio(seconds, arm), ratio(cpu, arm))
        for arm in arms
    ]
    print_table(
        f"{samples} samples in {len(shards)} shards, median of {options.repeats} rounds; "
        f"indexed at {indexing:.0f} samples a second, once",
        ["loader", "workers", "samples/s", "ratio", "ratio of CPU time"],
        rows,
    )


if __name__ == "__main__":
    main()

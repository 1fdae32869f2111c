"""A million parts through everything that the driver holds in one place.

    python -m tests.bench.scale [--parts 1000000] [--rows 2000000] [--files 0]

No image is read and no stage runs. Phase by phase, in seconds of this process and in the most memory
that the phase took: the plan of the parts; saving and loading it; resuming with half of every step
done (the listing of each step's folder is made up, the segments of the ledger are real files);
scheduling what is left with an executor that does nothing; the decision of the last global stage over
`--rows` samples. Everything is done for a tenth of the size as well: the last column is ten where a
phase is linear. `--files N` resumes over N real files in one folder, too.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.plan import Parts
from gritmill.pipeline.engine.receipts import Receipt, Total
from gritmill.pipeline.engine.results import SUFFIX
from gritmill.pipeline.engine.scheduler import Scheduler
from gritmill.pipeline.engine.sketches import Decisions, write_decision
from gritmill.pipeline.output.shards import AssignShards, list_shards
from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns
from tests.bench.tables import Peak, print_table

STEPS = tuple(range(8))
ROWS_OF_A_PART = 1000
SEGMENT = 2000


@dataclass
class Figure:
    seconds: float
    peak: int
    note: str = ""


class MadeUpListing(Store):
    """A store whose folders hold, besides what is there, the results of the first half of the parts."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.ids: list[str] = []

    def names(self, folder: str = "") -> list[str]:
        return sorted([*(f"{part}{SUFFIX}" for part in self.ids), *super().names(folder)])


def listed(count: int) -> Iterator[Part]:
    """Parts as the `webdataset` source names them."""
    for number in range(count):
        yield {
            "uri": f"s3://bucket/laion/shards/{number:08d}.tar",
            "version": f"{number:032x}",
            "size": 31_457_280 + number,
        }


def simulate(count: int, rows: int, folder: str) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}

    def measure(name: str, work: Callable[[], Any], note: Callable[[Any], str] = lambda _: "") -> Any:
        gc.collect()
        peak, start = Peak(), time.process_time()
        result = work()
        figures[name] = Figure(time.process_time() - start, peak.growth, note(result))
        return result

    store = MadeUpListing(folder)
    parts = measure("plan the parts", lambda: Parts.of(listed(count)))
    measure("save the plan", lambda: parts.save(store, "parts.arrow"))
    measure("load the plan", lambda: Parts.load(store, "parts.arrow"))
    store.ids = sorted(parts[number].id for number in range(count // 2))
    save_receipts(store, "ledger", store.ids)

    done = measure(f"list {len(STEPS)} steps", lambda: list_steps(store, parts))
    measure("receipts of one step", lambda: receipts_of(store, "ledger", parts))
    store.ids = []
    scheduler = measure("schedule: begin", lambda: Scheduler(STEPS, parts, done, lambda step, unit: 0))
    measure("schedule: all tasks", lambda: drain(scheduler), lambda tasks: f"{tasks:,} tasks")

    assign = AssignShards(shard_size=10**9, validation=0.01)
    sketches = Sketched(rows)
    count_of = measure(
        f"decide on {rows:,} rows",
        lambda: write_decision(store, "decision.arrow", assign.decide(sketches), assign.decides),
    )
    decisions = Decided(store, count_of, assign)
    measure("list the shards", lambda: list_shards(sketches, iter(decisions)))

    def batches() -> Iterator[Columns]:
        return ({"_shard": [number]} for number in range(count))

    write_decision(store, "one_row_a_part.arrow", batches(), assign.decides)
    measure(
        "read one part's decision",
        lambda: Decisions(store, "one_row_a_part.arrow", assign.decides)[count // 2],
    )
    return figures


def list_steps(store: Store, parts: Parts) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
    """What a resumed run does for every step of a pass before its first task, apart from receipts."""
    return [parts.done(store.names(f"step-{step}")) for step in STEPS]


def receipts_of(store: Store, folder: str, parts: Parts) -> Total:
    names, total = store.names(folder), Total()
    for receipt in Ledger(store, folder, names).receipts(parts.chosen(parts.done(names))):
        total.add(receipt)
    return total


def drain(scheduler: Scheduler) -> int:
    tasks = 0
    while task := scheduler.take(scheduler.steps):
        scheduler.finished(task)
        tasks += 1
    return tasks


def save_receipts(store: Store, folder: str, ids: list[str]) -> None:
    for start in range(0, len(ids), SEGMENT):
        lines = [
            Receipt("ground", part, 1000, 990, {"no_box": 9}, {"OSError": 1}, 12.5, {"model": "a@b"}, {})
            for part in ids[start : start + SEGMENT]
        ]
        text = "".join(line.to_json() + "\n" for line in lines)
        store.write(f"{folder}/receipts-{start // SEGMENT:06d}.jsonl", text.encode())


class Sketched:
    """Sketches of parts of a thousand samples, from nothing."""

    def __init__(self, rows: int) -> None:
        self.parts = rows // ROWS_OF_A_PART

    def __len__(self) -> int:
        return self.parts

    def __iter__(self) -> Iterator[Columns]:
        for part in range(self.parts):
            rng = np.random.default_rng(part)
            yield {
                "key_hash": rng.integers(-(2**63), 2**63 - 1, ROWS_OF_A_PART).tolist(),
                "split": (rng.random(ROWS_OF_A_PART) < 0.01).astype(int).tolist(),
                "size": rng.integers(20_000, 80_000, ROWS_OF_A_PART).tolist(),
                "image_format": ["jpeg"] * ROWS_OF_A_PART,
            }


class Decided:
    """The decisions as they lie on disk."""

    def __init__(self, store: Store, count: int, assign: AssignShards) -> None:
        self.store, self.count, self.assign = store, count, assign

    def __iter__(self) -> Iterator[Columns]:
        return iter(Decisions(self.store, "decision.arrow", self.assign.decides))


def resume_over_files(count: int, folder: str) -> Figure:
    """Lists `count` real, empty files of one step and tells which parts they stand for."""
    parts = Parts.of(listed(count))
    store = Store(folder)
    place = Path(store.full("step"))
    place.mkdir()
    for part in parts:
        (place / f"{part.id}{SUFFIX}").touch()
    gc.collect()
    peak, start = Peak(), time.perf_counter()
    store.clean("step")
    done = parts.done(store.names("step"))
    figure = Figure(time.perf_counter() - start, peak.growth)
    assert done.all()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=0)
    options = parser.parse_args()

    figures = []
    for divisor in (10, 1):
        with tempfile.TemporaryDirectory() as folder:
            figures.append(simulate(options.parts // divisor, options.rows // divisor, folder))
    small, large = figures
    print_table(
        f"{options.parts:,} parts, {len(STEPS)} steps, half of each done; against a tenth of that",
        ["phase", "CPU seconds", "peak memory", "tenth: CPU seconds", "peak memory", "ratio of seconds"],
        [
            (
                " ".join(filter(None, [phase, figure.note and f"({figure.note})"])),
                f"{figure.seconds:.2f}",
                f"{figure.peak / 1e6:.0f} MB",
                f"{before.seconds:.2f}",
                f"{before.peak / 1e6:.0f} MB",
                f"{figure.seconds / before.seconds:.1f}" if before.seconds > 0.01 else "",
            )
            for (phase, figure), before in zip(large.items(), small.values(), strict=True)
        ],
    )
    if options.files:
        with tempfile.TemporaryDirectory() as folder:
            figure = resume_over_files(options.files, folder)
        print(
            f"{options.files:,} real files in one folder: listed and matched in {figure.seconds:.2f} s, "
            f"{figure.peak / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()

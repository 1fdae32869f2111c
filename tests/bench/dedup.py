"""Deciding over many rows: memory and time of the decision of each global stage, a million rows at a time.

    python -m tests.bench.dedup [--rows 1000000] [--only minhash,...]

Sketches are made beforehand and lie on disk as Parquet, in parts of 10,000 rows, one row in ten a duplicate
of another. Hashes, vectors and captions are made up. Each arm is a process of its
own, so that the peak is its own; what it held before its first sketch is taken off.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gritmill.schemas.columns import Columns, arrow_type, from_arrow, to_arrow
from gritmill.stages.base import GlobalStage
from gritmill.stages.concept_balance import ConceptBalance, phrase_hash
from gritmill.stages.dedup import minhash
from gritmill.stages.dedup.captions import ExactCaptions, MinHashCaptions
from gritmill.stages.dedup.images import EmbeddingImages, ExactImages, PerceptualImages
from tests.bench.planted_duplicates import DOES, WHEN, WHERE, WHO
from tests.bench.tables import Peak, print_table

PART = 10_000
DIMENSIONS = 512


class OnDisk:
    """Sketches in Parquet files, read one at a time."""

    def __init__(self, folder: Path, types: dict[str, Any]) -> None:
        self.files = sorted(folder.glob("*.parquet"))
        self.types = types

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Columns]:
        for file in self.files:
            table = pq.read_table(file, use_threads=False)
            yield {name: from_arrow(table[name], kind) for name, kind in self.types.items()}


def stage_of(name: str) -> GlobalStage:
    match name:
        case "images exact":
            return ExactImages()
        case "images perceptual":
            return PerceptualImages()
        case "images embedding":
            return EmbeddingImages(device="cpu")
        case "captions exact":
            return ExactCaptions()
        case "captions minhash":
            return MinHashCaptions()
        case _:
            return ConceptBalance()


ARMS = (
    "images exact",
    "images perceptual",
    "images embedding",
    "captions exact",
    "captions minhash",
    "concept balance",
)


def sketches(name: str, rows: int) -> Iterator[Columns]:
    rng = np.random.default_rng(0)
    made = _phrases if name == "concept balance" else FEATURES[name.split()[1]]
    before: list[Any] = []
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        found = made(rng, count)
        # One row in ten is that of the part before, to the letter.
        found[: len(before) : 10] = before[:count:10]
        before = found
        if name == "concept balance":
            keys = [phrase_hash(f"key{i}") for i in range(start, start + count)]
            yield {"key_hash": keys, "phrases": found}
        else:
            things = [f"thing-{i:09d}" for i in range(start, start + count)]
            yield {"thing": things, "rank": [0.0] * count, "feature": found, "problem": [None] * count}


def _hashes(rng: np.random.Generator, count: int) -> list[Any]:
    return [row.tobytes() for row in rng.integers(0, 256, (count, 16), np.uint8)]


def _vectors(rng: np.random.Generator, count: int) -> list[Any]:
    """Around 2,000 centres, as what models make of images is anything but even."""
    centres = np.random.default_rng(1).standard_normal((2000, DIMENSIONS), np.float32)
    made = centres[rng.integers(0, len(centres), count)] + rng.standard_normal(
        (count, DIMENSIONS), np.float32
    )
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return [row.tobytes() for row in made.astype(np.float16)]


def _signatures(rng: np.random.Generator, count: int) -> list[Any]:
    return minhash.signatures([_sentence(int(seed)) for seed in rng.integers(0, 2**62, count)], 4)


def _phrases(rng: np.random.Generator, count: int) -> list[Any]:
    drawn = (rng.zipf(1.3, (count, 4)) % 400_000).tolist()
    return [list(dict.fromkeys(f"phrase {n}" for n in row)) for row in drawn]


FEATURES = {"exact": _hashes, "perceptual": _hashes, "embedding": _vectors, "minhash": _signatures}


def _sentence(seed: int) -> str:
    rng = Random(seed)
    who, does, where, when = map(rng.choice, (WHO, DOES, WHERE, WHEN))
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=40))
    return f"a {who} {does} {where} {when} and {name}"


def write(folder: Path, name: str, rows: int) -> None:
    types = stage_of(name).sketches
    schema = pa.schema([(column, arrow_type(kind)) for column, kind in types.items()])
    for number, sketch in enumerate(sketches(name, rows)):
        table = pa.table([to_arrow(sketch[n], kind) for n, kind in types.items()], schema=schema)
        pq.write_table(table, folder / f"{number:06d}.parquet", compression="zstd")


def measure(name: str, folder: Path, answer: Any) -> None:
    stage = stage_of(name)
    for _ in OnDisk(folder, stage.sketches):  # what reading takes is not the stage's
        break
    if "embedding" in name:
        import faiss

        faiss.omp_set_num_threads(1)
    peak, started = Peak(), time.process_time()
    count = sum(len(next(iter(part.values()))) for part in stage.decide(OnDisk(folder, stage.sketches)))
    answer.put((count, peak.growth, time.process_time() - started))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="arms whose names hold this word")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in ARMS:
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), name, options.rows)
            answer = context.Queue()
            process = context.Process(target=measure, args=(name, Path(folder), answer))
            process.start()
            count, growth, seconds = answer.get()
            process.join()
        rows.append([name, f"{growth / 2**20:,.0f}", f"{growth / count:,.0f}", f"{seconds:,.0f}"])
        print_table("so far", ["decision", "MiB", "bytes a row", "CPU s"], rows[-1:])
    print_table(f"Deciding over {options.rows:,} rows", ["decision", "MiB", "bytes a row", "CPU s"], rows)


if __name__ == "__main__":
    main()

"""The last step: one shard of the output, in every format that the recipe asks for."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gritmill.pipeline.engine.inputs import load_columns
from gritmill.pipeline.engine.plan import Parts, Step, Unit, columns_before, kept_columns
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.results import Failure, Result, make_result, read_columns, write_result
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.output.shards import Shard
from gritmill.pipeline.storage.checksums import HashingFile
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.records import COLUMNS, MEASURED, Measured


class ShardTask(NamedTuple):
    """Which shard, and where the samples of all parts lie."""

    steps: Sequence[Step]
    number: int
    """Of the write step."""
    parts: Parts
    unit: Unit


def write_shard(task: ShardTask, store: Store, output: Store, formats: Sequence[str]) -> Receipt:
    """Writes the files of a shard, then its receipt with their sizes and checksums.

    A sample whose image can no longer be read is left out and counted as failed.
    """
    started = time.perf_counter()
    shard, step = Shard(**task.unit.spec), task.steps[task.number]
    needs_images = any(FORMATS[name].reads_images for name in formats)
    keys: list[Any] = []
    files: dict[str, HashingFile] = {}
    with contextlib.ExitStack() as stack:
        writers = []
        for name in formats:
            place, path = (output, shard_path(name, shard))
            if FORMATS[name].merge is not None:
                place, path = store, fragment(step, shard, name)
            files[path] = HashingFile(stack.enter_context(place.writing(path)))
            writers.append(FORMATS[name].writer(files[path], shard.extension))
        for sample in samples_of(shard, task, store):
            try:
                image = sample["image"].read() if needs_images else b""
            except OSError as error:
                keys.append(Failure(type(error).__name__, f"{sample['key']}: {error}"))
                continue
            keys.append(sample["key"])
            for writer in writers:
                writer.add(sample, image)
        for writer in writers:
            writer.close()
    seconds = time.perf_counter() - started
    made = make_result(step.name, shard.name, range(len(keys)), {"key": keys}, step.writes, seconds, {})
    sums = {path: file.hexdigest() for path, file in files.items()}
    sizes = {f"{path} bytes": file.size for path, file in files.items()}
    receipt = replace(made.receipt, details={**sums, **sizes})
    write_result(store, step.result(shard.name), Result(made.table, receipt))
    return receipt


def shard_path(format_name: str, shard: Shard) -> str:
    """A shard's file in the output folder: `data/train-00000-of-00042.tar`."""
    return FORMATS[format_name].path(shard.split, shard.index, shard.count)


def fragment(step: Step, shard: Shard, format_name: str) -> str:
    """Where a shard's share of a one-file-a-split format waits, in the work folder."""
    return f"{step.folder}/{shard.name}.{format_name}"


def samples_of(shard: Shard, task: ShardTask, store: Store) -> Iterator[Mapping[str, Any]]:
    """The samples of a shard in source order, one part in memory at a time."""
    steps, number = task.steps, task.number
    assign = steps[number - 1]
    kept = kept_columns(steps)
    names = [name for name in columns_before(steps, number) if name in {*COLUMNS, *kept}]
    for index in range(shard.first_part, shard.last_part + 1):
        unit = task.parts.id(index)
        table = read_columns(store, assign.result(unit), ["split", "shard"])
        mine = pc.and_(pc.equal(table["split"], shard.split), pc.equal(table["shard"], shard.index))
        rows = table.filter(pc.fill_null(mine, pa.scalar(False)))["_row"].to_numpy()
        columns = load_columns(store, steps, number, unit, names, rows)
        for values in zip(*columns.values(), strict=True):
            sample = dict(zip(columns, values, strict=True))
            if kept:
                sample[MEASURED] = Measured({name: sample.pop(name) for name in kept}, kept)
            yield sample

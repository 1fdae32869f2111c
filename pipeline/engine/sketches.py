"""The sketches and decisions of a global stage, read part by part and never all at once."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from gritmill.pipeline.engine.plan import Layout, Parts, Step
from gritmill.pipeline.engine.results import read_columns
from gritmill.pipeline.output.shards import Shard
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import Columns, arrow_type, from_arrow, to_arrow

SHARDS = "shards.json"
"""The list of shards, in the folder of the sketches that it was made from."""


class StoredSketches:
    """The sketches of all parts, in order, from the results of a sketch step."""

    def __init__(self, store: Store, step: Step, parts: Parts) -> None:
        self.store, self.step, self.parts = store, step, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Columns]:
        types = self.step.writes

        def read(name: str) -> Columns:
            table = read_columns(self.store, name, list(types))
            return {column: from_arrow(table[column], kind) for column, kind in types.items()}

        ids = (self.parts.id(i) for i in range(len(self.parts)))
        yield from self.store.each(read, map(self.step.result, ids))


def write_decision(store: Store, name: str, decisions: Iterator[Columns], types: dict[str, Any]) -> int:
    """One record batch for each part, in order, so that a worker finds its own without the rest."""
    schema = pa.schema([(column, arrow_type(kind)) for column, kind in types.items()])
    count = 0
    with store.writing(name) as file, pa.ipc.new_file(file, schema) as writer:
        for decision in decisions:
            arrays = [to_arrow(decision[column], kind) for column, kind in types.items()]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            count += 1
    return count


class Decisions:
    """The decisions of a global stage, by the number of the part. Opened once, read one at a time."""

    def __init__(self, store: Store, name: str, types: dict[str, Any]) -> None:
        # A part needs its own batch only, so elsewhere the file is not fetched whole.
        self._file = store.open_arrow(name) if store.is_local else store.open(name)
        self._reader = pa.ipc.open_file(self._file)
        self._types = types

    def __getitem__(self, part: int) -> Columns:
        batch = self._reader.get_batch(part)
        return {column: from_arrow(batch[column], kind) for column, kind in self._types.items()}

    def __iter__(self) -> Iterator[Columns]:
        return (self[i] for i in range(self._reader.num_record_batches))


def write_shards(plan: Layout, store: Store, shards: Sequence[Shard]) -> None:
    """Keeps the list of shards beside the decision that it follows from."""
    text = json.dumps([asdict(shard) for shard in shards])
    store.write(f"{plan.sharding.folder}/{SHARDS}", text.encode())


def read_shards(plan: Layout, store: Store) -> list[Shard] | None:
    """The list of shards, or None if they have not been decided on yet."""
    name = f"{plan.sharding.folder}/{SHARDS}"
    return [Shard(**shard) for shard in json.loads(store.read(name))] if store.exists(name) else None

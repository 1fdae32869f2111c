"""Shards read from start to end, for object stores, where reading sample by sample takes too many requests.

    stream = StreamingShards(split_shards("s3://bucket/grit", "train"), seed=0, rank=0, world=8)
    DataLoader(stream, batch_size=64, num_workers=4)

A stream divides itself among ranks and loader workers. Nobody else must: a loader prepared by accelerate
would give each rank only its share of what already is its share.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from random import Random
from typing import NamedTuple

from torch.utils.data import IterableDataset, get_worker_info

from gritmill.pipeline.storage.samples import NOWHERE, samples
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.data.index import open_shard
from gritmill.trainer.data.order import interleaved
from gritmill.trainer.data.reading import MAX_IMAGE, MAX_RECORD, to_example

log = logging.getLogger(__name__)

_BLOCK = 2**10


class _Raw(NamedTuple):
    """A sample before it is decoded, as it waits in the buffer."""

    stem: str
    image: bytes
    record: bytes


class StreamingShards(IterableDataset):
    """An endless stream of the samples of shards, for one rank of `world`: `Example`s, and `Bad` ones.

    Every epoch has another order of the shards, and samples leave a buffer of `buffer` at random. Ranks
    and loader workers are readers alike: they take turns with the shards, or, where there are fewer
    shards than readers, with the samples of all shards, which each of them has to fetch then. All
    readers together give every sample once an epoch; `epochs` ends the stream. The same arguments with
    as many readers give the same stream. Raises `UserError` for shards that cannot be reached and for
    such as have no samples.
    """

    def __init__(
        self,
        shards: Sequence[str],
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        buffer: int = 1000,
        epochs: int | None = None,
    ) -> None:
        self.shards = list(shards)
        self.seed = seed
        self.rank = rank
        self.world = world
        self.buffer = buffer
        self.epochs = epochs

    def __iter__(self) -> Iterator[Example | Bad]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        reader, readers = self.rank * workers + number, self.world * workers
        empty = 0
        for epoch in count() if self.epochs is None else range(self.epochs):
            empty += 1
            rng = _rng(f"{self.seed}:buffer:{epoch}:{reader}:{readers}")
            for item in _shuffled(self._epoch(epoch, reader, readers), self.buffer, rng):
                empty = 0
                yield item if isinstance(item, Bad) else to_example(*item)
            if empty > len(self.shards) + readers:  # a reader may get nothing for some epochs
                raise UserError(
                    f"{', '.join(self.shards[:3]) or 'no shard'}: there is no sample; name others."
                )

    def _epoch(self, epoch: int, reader: int, readers: int) -> Iterator[_Raw | Bad]:
        """What is one reader's in an epoch, in the order in which it lies in the shards."""
        shards = list(self.shards)
        _rng(f"{self.seed}:shards:{epoch}").shuffle(shards)
        if len(shards) >= readers:
            # Turns go on from epoch to epoch, so that no reader gets ahead of the others.
            first = (reader - epoch * len(shards)) % readers
            for shard in shards[first::readers]:
                yield from _read(shard)
        else:
            items = chain.from_iterable(map(_read, shards))
            yield from islice(items, (reader - epoch) % readers, None, readers)


class StreamingMixture(IterableDataset):
    """Several endless streams as one, each as often as its weight says, spread evenly."""

    def __init__(self, streams: Sequence[StreamingShards], weights: Sequence[float]) -> None:
        self.streams = list(streams)
        self.weights = list(weights)

    def __iter__(self) -> Iterator[Example | Bad]:
        streams = [iter(stream) for stream in self.streams]
        for start in count(0, _BLOCK):
            which, _ = interleaved(self.weights, start, start + _BLOCK)
            for number in which.tolist():
                yield next(streams[number])


def _read(shard: str) -> Iterator[_Raw | Bad]:
    with open_shard(shard) as file:
        try:
            for sample in samples(file):
                stem, image, record = sample.stem, sample.image, sample.record
                if image == record == NOWHERE:
                    continue
                if image.size > MAX_IMAGE or record.size > MAX_RECORD:
                    yield Bad(stem, f"{image.size} and {record.size} bytes are too many")
                else:
                    yield _Raw(stem, image.read(file), record.read(file))
        except BrokenArchive as error:
            log.warning("%s is damaged: %s; its samples up to there are used", shard, error)


def _shuffled(items: Iterator[_Raw | Bad], size: int, rng: Random) -> Iterator[_Raw | Bad]:
    """Of each item and the `size` that wait, one leaves at random."""
    waiting: list[_Raw | Bad] = []
    for item in items:
        waiting.append(item)
        if len(waiting) > size:
            place = rng.randrange(len(waiting))
            waiting[place], waiting[-1] = waiting[-1], waiting[place]
            yield waiting.pop()
    rng.shuffle(waiting)
    yield from waiting


def _rng(seed: str) -> Random:
    """Seeded by text, which Python hashes with SHA-512: the same numbers on every machine."""
    return Random(seed)  # noqa: S311 (nothing secret here)

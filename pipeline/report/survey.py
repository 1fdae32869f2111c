"""One pass over a dataset: its distributions, and samples chosen to be shown."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow.parquet as pq

from gritmill.pipeline.report.choice import Choice, Lottery
from gritmill.pipeline.stats import Stats
from gritmill.pipeline.stats.measure import measure
from gritmill.pipeline.stats.read import Read, finished_files
from gritmill.pipeline.storage.samples import samples
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import Record, Region

_BATCH = 1_000
AREA_BINS = 5
"""For each power of ten."""
SCORE_BINS = 20
"""From 0 to 1."""


class Placed(NamedTuple):
    """A record and where its image lies."""

    record: Record
    image: ImageRef


@dataclass
class Counts:
    """Distributions, as counts of whole numbers, so that they need little memory."""

    caption_words: Counter[int] = field(default_factory=Counter)
    phrase_words: Counter[int] = field(default_factory=Counter)
    """Of each referring expression (noun chunk where there are none), once a sample."""
    image_boxes: Counter[str] = field(default_factory=Counter)
    """Boxes by image, in all its samples."""
    areas: Counter[int] = field(default_factory=Counter)
    """Boxes by `floor(AREA_BINS * log10(share of the image))`."""
    scores: Counter[int] = field(default_factory=Counter)
    """Boxes by `floor(SCORE_BINS * score)`."""

    def add(self, record: Record) -> None:
        caption = record["caption"]
        regions = [Region.from_item(v) for v in record.get("ref_exps") or record.get("noun_chunks") or ()]
        self.caption_words[len(caption.split())] += 1
        self.phrase_words.update(len(span.of(caption).split()) for span in {r.span for r in regions})
        self.image_boxes[record["image_id"]] += len(regions)
        for region in regions:
            if region.box.area > 0:
                self.areas[min(math.floor(AREA_BINS * math.log10(region.box.area)), -1)] += 1
            if 0 <= region.score <= 1:
                self.scores[min(int(region.score * SCORE_BINS), SCORE_BINS - 1)] += 1


class Survey(NamedTuple):
    """What charts and gallery need to know of a dataset."""

    stats: Stats
    counts: Counts
    chosen: list[Placed]


def survey(folder: Store, choice: Choice) -> Survey:
    """Goes once through a finished dataset. Raises `UserError` where it is none, or damaged."""
    counts = Counts()
    lottery = Lottery[Placed](choice.kept, choice.seed)

    def passing() -> Iterator[Read]:
        for placed in _placed(folder):
            yield Read(placed.record, None)
            # Only now has `measure` seen that the record is as it should be.
            counts.add(placed.record)
            lottery.add(placed.record["key"], placed)

    return Survey(measure(passing()), counts, lottery.winners())


def _placed(folder: Store) -> Iterator[Placed]:
    """Every record and the place of its image, in the order of the shards; images are not read."""
    files = sorted(finished_files(folder))
    shards = [name for name in files if name.endswith(".tar")]
    tables = [name for name in files if name.endswith(".parquet")]
    if not shards and not tables:
        raise UserError(
            f"{folder.root} has neither shards nor Parquet; add webdataset or parquet to output.formats"
        )
    for name in shards or tables:
        try:
            yield from (_in_tar if shards else _in_parquet)(folder, name)
        except (OSError, BrokenArchive, ValueError, LookupError, RecursionError) as error:
            raise UserError(
                f"{folder.url(name)} cannot be read: {error}. `pipeline verify` finds all that is wrong."
            ) from error


def _in_tar(folder: Store, name: str) -> Iterable[Placed]:
    with folder.open(name) as file:
        for sample in samples(file):
            if sample.record.size:
                yield Placed(json.loads(sample.record.read(file)), ImageRef(folder.url(name), *sample.image))


def _in_parquet(folder: Store, name: str) -> Iterable[Placed]:
    """Images are where the source had them."""
    with folder.open(name) as file:
        for batch in pq.ParquetFile(file).iter_batches(_BATCH):
            for row in batch.to_pylist():
                record = {key: value for key, value in row.items() if value is not None}
                yield Placed(record, ImageRef(**record["source"]))

"""The records of a finished dataset, one at a time, from its shards or else from its Parquet files."""

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow.parquet as pq

from gritmill.pipeline.engine.finish import REPORT, STATS
from gritmill.pipeline.storage.checksums import SUMS, parse_sums
from gritmill.pipeline.storage.samples import samples
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import Record

_BATCH = 1_000


class Read(NamedTuple):
    """A sample's record and, where its image lies with it, eight bytes that stand for the image's."""

    record: Record
    image: bytes | None


def finished_files(folder: Store) -> dict[str, str]:
    """{file: SHA-256} of everything that a finished dataset consists of.

    Raises `UserError` where there is none.
    """
    if not folder.exists(SUMS):
        raise UserError(f"{folder.root} holds no finished dataset; `pipeline run` makes it")
    return parse_sums(folder.read(SUMS))


def read_samples(folder: Store) -> Iterator[Read]:
    """Every sample, in the order of the shards. Holds one at a time, or a batch of Parquet.

    Raises `UserError` where the dataset has neither shards nor Parquet, is damaged, or has lost samples.
    """
    files = sorted(finished_files(folder))
    if not files:
        raise UserError(f"{folder.root} has no samples: {REPORT} says at which step they were rejected")
    shards = [name for name in files if name.endswith(".tar")]
    tables = [name for name in files if name.endswith(".parquet")]
    if not shards and not tables:
        raise UserError(
            f"{folder.root} has neither shards nor Parquet; add webdataset or parquet to output.formats"
        )
    count = 0
    for name in shards or tables:
        try:
            for sample in (_in_tar if shards else _in_parquet)(folder, name):
                count += 1
                yield sample
        except (OSError, BrokenArchive, ValueError, RecursionError) as error:
            raise UserError(
                f"{folder.url(name)} cannot be read: {error}. `pipeline verify` finds all that is wrong."
            ) from error
    splits = json.loads(folder.read(STATS))["splits"] if folder.exists(STATS) else {}
    expected = sum(split["samples"] for split in splits.values())
    if splits and expected != count:
        raise UserError(
            f"{folder.root} has {count:,} samples and should have {expected:,}. "
            "`pipeline verify` finds what is wrong."
        )


def _in_tar(folder: Store, name: str) -> Iterator[Read]:
    with folder.open(name) as file:
        for sample in samples(file):
            if sample.record.size:
                image = sample.image.read(file)
                digest = hashlib.blake2b(image, digest_size=8).digest() if image else None
                yield Read(json.loads(sample.record.read(file)), digest)


def _in_parquet(folder: Store, name: str) -> Iterator[Read]:
    with folder.open(name) as file:
        for batch in pq.ParquetFile(file).iter_batches(_BATCH):
            for record in batch.to_pylist():
                yield Read({key: value for key, value in record.items() if value is not None}, None)

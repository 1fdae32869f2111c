"""`webdataset`: our own shards, as `pipeline run` writes them.

    data/train-00000-of-00042.tar    000373938.jpg  000373938.json  000373938.txt  ...
    SHA256SUMS

The record in the json is that of `schemas/records.py`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gritmill.pipeline.convert.sample import Losses, Sample
from gritmill.pipeline.convert.shards import Files, read_shards
from gritmill.pipeline.convert.writing import BySplit
from gritmill.pipeline.output.webdataset import WebdatasetWriter
from gritmill.pipeline.storage.checksums import SUMS, HashingFile, format_sums

LOSES: dict[str, str] = {}
SHARD_SIZE = 10**9
"""Bytes of images after which a new shard begins."""


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Tars as we write them; the images are taken from within them."""
    return read_shards(path, losses)


def recognises(first: Files) -> bool:
    """True if a sample of an archive is one of ours."""
    raw = first.json() or {}
    return {"image_id", "source", "captions", "metadata"} <= raw.keys()


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """Shards of about a gigabyte for each split; returns how many samples they hold.

    A sample without image, caption or size is none here: it is left out.
    """
    written = 0
    sums: dict[str, str] = {}
    (folder / "data").mkdir()

    @contextmanager
    def shards(split: str) -> Iterator[_Shards]:
        series = _Shards(folder / "data", split)
        yield series
        sums.update(series.finish())

    with BySplit(shards) as series:
        for sample in samples:
            record, image = sample.record, sample.image
            if image is None:
                losses.row(record["key"], "its image is not found")
            elif not record["caption"]:
                losses.row(record["key"], "it has no caption")
            else:
                series[record["split"]].add(sample, image)
                written += 1
    (folder / SUMS).write_bytes(format_sums(sums))
    return written


class _Shards:
    """The shards of a split; how many there are, and thus their names, is known at the end."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder = folder
        self._split = split
        self._files: list[tuple[BinaryIO, HashingFile]] = []
        self._writer: WebdatasetWriter | None = None
        self._extension = ""
        self._size = 0

    def add(self, sample: Sample, image: bytes) -> None:
        # One extension for the whole split, see `image_extension`.
        self._extension = self._extension or sample.extension
        if self._writer is None or self._size > SHARD_SIZE:
            self._begin()
        assert self._writer is not None
        self._writer.add_record(sample.record, image)
        self._size += len(image)

    def finish(self) -> dict[str, str]:
        """Names all shards; returns {name: SHA-256}."""
        self._end()
        sums = {}
        count = len(self._files)
        for i, (_, hashed) in enumerate(self._files):
            name = f"{self._split}-{i:05d}-of-{count:05d}.tar"
            self._part(i).rename(self._folder / name)
            sums[f"data/{name}"] = hashed.hexdigest()
        return sums

    def _begin(self) -> None:
        self._end()
        file = self._part(len(self._files)).open("xb")
        hashed = HashingFile(file)
        self._files.append((file, hashed))
        self._writer = WebdatasetWriter(hashed, self._extension)
        self._size = 0

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._files[-1][0].close()

    def _part(self, number: int) -> Path:
        return self._folder / f"{self._split}-{number:05d}.tar"

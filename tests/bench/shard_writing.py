"""Shard writing: ours with SHA-256 and fsync against webdataset.ShardWriter and tarfile.

    python -m tests.bench.shard_writing [--samples 5000] [--repeats 7] [--dir .]

Every arm writes the same samples (26 kB of image, a record with three regions, a caption) to one tar in
`--dir`. Rounds are interleaved, each in its own random order; the table holds medians, in MB of image,
record and caption a second, and the ratio to `webdataset.ShardWriter` as its users call it.
"""

import argparse
import io
import os
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import webdataset
from rich.console import Console
from rich.table import Table

from gritmill.pipeline.output.webdataset import WebdatasetWriter
from gritmill.pipeline.storage.checksums import HashingFile
from gritmill.pipeline.storage.tar_writer import TarWriter
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, ImageRef, Span
from gritmill.schemas.records import to_json, to_record

IMAGE_BYTES = 26_000
CAPTION = "a brown dog with a red collar lies on a wooden bench beside a bicycle"
CHUNKS = [Span(0, 11), Span(17, 29), Span(38, 52)]


class Image:
    def __init__(self, number: int) -> None:
        self.ref = ImageRef("photos.tar", number * IMAGE_BYTES, IMAGE_BYTES)


def make_samples(count: int) -> list[tuple[dict[str, Any], bytes]]:
    rng = random.Random(0)
    samples = []
    for i in range(count):
        boxes = []
        for chunk in CHUNKS:
            x, y = rng.random() / 2, rng.random() / 2
            box = Box(x, y, x + rng.random() / 2, y + rng.random() / 2)
            boxes.append(GroundedBox(chunk, box, rng.random(), "model@0123abc", chunk.of(CAPTION)))
        sample: dict[str, Any] = {
            "key": f"{i:09d}",
            "image_id": f"{i:09d}",
            "caption": CAPTION,
            "captions": [CAPTION],
            "metadata": "{}",
            "image": Image(i),
            "width": 640,
            "height": 480,
            "image_format": "jpeg",
            "split": "train",
            "boxes": boxes,
            "ref_exps": CHUNKS,
        }
        samples.append((sample, rng.randbytes(IMAGE_BYTES)))
    return samples


def pattern_of(path: str) -> str:
    """What makes `ShardWriter` call its first shard `.../000000.tar`."""
    return path.replace("%", "%%").replace("000000.tar", "%06d.tar")


def sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dir", default=".", help="where to write; a disk, not a RAM disk")
    options = parser.parse_args()

    samples = make_samples(options.samples)
    records = [to_record(sample) for sample, _ in samples]
    encoded = [
        (sample["key"], image, to_json(record), sample["caption"].encode())
        for (sample, image), record in zip(samples, records, strict=True)
    ]
    payload = sum(len(image) + len(record) + len(caption) for _, image, record, caption in encoded)

    def ours(path: str) -> None:
        with Path(path).open("wb") as file:
            hashed = HashingFile(file)
            writer = WebdatasetWriter(hashed, "jpg")
            for sample, image in samples:
                writer.add(sample, image)
            writer.close()
            sync(file)
            hashed.hexdigest()

    def ours_encoded(path: str) -> None:
        with Path(path).open("wb") as file:
            hashed = HashingFile(file)
            tar = TarWriter(hashed)
            for key, image, record, caption in encoded:
                tar.add((f"{key}.jpg", image), (f"{key}.json", record), (f"{key}.txt", caption))
            tar.close()
            sync(file)
            hashed.hexdigest()

    def ours_bare(path: str) -> None:
        with Path(path).open("wb") as file:
            tar = TarWriter(file)
            for key, image, record, caption in encoded:
                tar.add((f"{key}.jpg", image), (f"{key}.json", record), (f"{key}.txt", caption))
            tar.close()

    def shard_writer(path: str) -> None:
        with webdataset.ShardWriter(pattern_of(path), maxcount=10**9, maxsize=10**12, verbose=0) as writer:
            for (sample, image), record in zip(samples, records, strict=True):
                writer.write(
                    {"__key__": sample["key"], "jpg": image, "json": record, "txt": sample["caption"]}
                )

    def shard_writer_encoded(path: str) -> None:
        with webdataset.ShardWriter(
            pattern_of(path), maxcount=10**9, maxsize=10**12, verbose=0, encoder=False
        ) as writer:
            for key, image, record, caption in encoded:
                writer.write({"__key__": key, "jpg": image, "json": record, "txt": caption})

    def shard_writer_safe(path: str) -> None:
        with Path(path).open("wb") as file:
            hashed = HashingFile(file)
            writer = webdataset.TarWriter(hashed, encoder=False)
            for key, image, record, caption in encoded:
                writer.write({"__key__": key, "jpg": image, "json": record, "txt": caption})
            writer.close()
            sync(file)
            hashed.hexdigest()

    def plain_tarfile(path: str) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for key, image, record, caption in encoded:
                for extension, content in (("jpg", image), ("json", record), ("txt", caption)):
                    info = tarfile.TarInfo(f"{key}.{extension}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))

    arms: dict[str, Callable[[str], None]] = {
        "webdataset.ShardWriter": shard_writer,
        "webdataset.ShardWriter, encoder=False": shard_writer_encoded,
        "webdataset.TarWriter, encoder=False, with SHA-256 and fsync": shard_writer_safe,
        "tarfile, members encoded": plain_tarfile,
        "gritmill from columns, with SHA-256 and fsync": ours,
        "gritmill, members encoded, with SHA-256 and fsync": ours_encoded,
        "gritmill, members encoded": ours_bare,
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        for _ in range(options.repeats):
            for name in rng.sample(list(arms), len(arms)):
                path = Path(folder) / "000000.tar"
                start = time.perf_counter()
                arms[name](str(path))
                seconds[name].append(time.perf_counter() - start)
                path.unlink()
                os.sync()  # so that no arm pays for what another left in the page cache

    speed = {name: payload / 1e6 / statistics.median(times) for name, times in seconds.items()}
    base = speed["webdataset.ShardWriter"]
    table = Table(
        title=f"{options.samples} samples, {payload / 1e6:.0f} MB, median of {options.repeats} rounds"
    )
    table.add_column("writer")
    for column in ("MB/s", "slowest to fastest", "ratio"):
        table.add_column(column, justify="right")
    for name, times in seconds.items():
        spread = f"{payload / 1e6 / max(times):.0f} to {payload / 1e6 / min(times):.0f}"
        table.add_row(name, f"{speed[name]:.0f}", spread, f"{speed[name] / base:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

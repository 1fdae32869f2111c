"""How long `pipeline view` takes to open a large dataset and to turn its pages.

    python -m tests.bench.view [--samples 20000]

The dataset is made here: photographs of 480 x 360 pixels with two boxes each, in eight shards. The command
runs in a process of its own and is asked as a browser asks: opening is the time from its start, interpreter
and imports included, to the first page's samples; a page is one answer of 24 samples, or those and their 24
thumbnails over six connections. Beside it stands a plain `webdataset` loop over all samples without
decoding, which is what a viewer without an index must do first.
"""

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
import webdataset
from PIL import Image

from gritmill.pipeline.output.webdataset import WebdatasetWriter
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, ImageRef, Span
from tests.bench.tables import print_table, resident

SHARDS = 8
PAGES = 100
CONNECTIONS = 6
"""As many as browsers open to one server."""


def photographs(count: int) -> list[bytes]:
    """A few JPEGs of some 25 kB, blurred noise."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
        data = io.BytesIO()
        coarse.resize((480, 360), Image.Resampling.BICUBIC).save(data, "JPEG", quality=85)
        found.append(data.getvalue())
    return found


def sample(number: int) -> dict[str, Any]:
    """The columns of a finished sample; every thousandth is of a zebra."""
    animal = "zebra" if number % 1000 == 999 else "dog"
    caption = f"a {animal} beside a tree in field {number}"
    model = "IDEA-Research/grounding-dino-tiny@a2bb814"
    tree = caption.index("a tree")
    return {
        "key": f"{number:09d}",
        "image_id": f"{number:09d}",
        "caption": caption,
        "captions": [caption],
        "metadata": json.dumps({"url": f"https://example.org/{number}.jpg", "licence": "CC BY 4.0"}),
        "image": SimpleNamespace(ref=ImageRef("photos.tar", 512 * number, 25_000)),
        "width": 480,
        "height": 360,
        "image_format": "jpeg",
        "split": "train",
        "boxes": [
            GroundedBox(Span(0, 2 + len(animal)), Box(0.1, 0.2, 0.5, 0.9), 0.5, model, f"a {animal}"),
            GroundedBox(Span(tree, tree + 6), Box(0.5, 0.1, 0.9, 0.9), 0.4, model, "a tree"),
        ],
        "ref_exps": [Span(0, len(caption)), Span(tree, len(caption))],
    }


def make_shards(folder: Path, samples: int) -> list[str]:
    images = photographs(16)
    names = []
    for shard in range(SHARDS):
        names.append(str(folder / f"train-{shard:05d}-of-{SHARDS:05d}.tar"))
        with Path(names[-1]).open("wb") as file:
            writer = WebdatasetWriter(file, "jpg")
            for number in range(samples * shard // SHARDS, samples * (shard + 1) // SHARDS):
                writer.add(sample(number), images[number % len(images)])
            writer.close()
    return names


@contextmanager
def viewing(folder: Path) -> Iterator[tuple[HTTPConnection, subprocess.Popen[str]]]:
    """`pipeline view` in a process of its own, and a connection to it."""
    command = [sys.executable, "-m", "gritmill.pipeline.cli", "view", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        yield HTTPConnection(url.removeprefix("http://").strip("/")), process
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Of a process since its start, on whatever cores."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def ask(connection: HTTPConnection, path: str, **fields: object) -> Any:
    connection.request("GET", f"{path}?{urlencode(fields)}")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
    return json.loads(body) if answer.headers["Content-Type"] == "application/json" else body


def timed(connection: HTTPConnection, path: str, **fields: object) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = ask(connection, path, **fields)
    return time.perf_counter() - start, answer


def thumbnails(address: str, page: Any) -> None:
    sources = [row["entries"][0]["image"]["src"] for row in page["rows"]]

    def fetch(mine: list[str]) -> None:
        connection = HTTPConnection(address)
        for source in mine:
            ask(connection, source)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(fetch, [sources[i::CONNECTIONS] for i in range(CONNECTIONS)]))


def search(connection: HTTPConnection, **fields: object) -> tuple[list[float], int]:
    """Seconds of each request of a search through everything, and how many samples it found."""
    seconds, found, at = [], 0, 0
    while at is not None:
        took, page = timed(connection, "/page", **{"from": at, "count": 24, **fields})
        seconds.append(took)
        found += len(page["rows"])
        at = page["next"]
    return seconds, found


def row(name: str, seconds: list[float], note: str = "") -> tuple[str, str, str, str]:
    ordered = sorted(seconds)
    worst = ordered[-1]
    return name, f"{statistics.median(ordered) * 1000:,.0f}", f"{worst * 1000:,.0f}", note


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rng = random.Random(0)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = make_shards(folder, options.samples)
        plain: list[float] = []
        opening: list[float] = []
        knowing: list[float] = []
        plain_cpu: list[float] = []
        opening_cpu: list[float] = []
        knowing_cpu: list[float] = []
        for _ in range(options.repeats):
            start, before = time.perf_counter(), time.process_time()
            count = sum(1 for _ in webdataset.WebDataset(shards, shardshuffle=False))
            plain.append(time.perf_counter() - start)
            plain_cpu.append(time.process_time() - before)
            assert count == options.samples
            start = time.perf_counter()
            with viewing(folder) as (connection, process):
                ask(connection, "/page", count=24)
                opening.append(time.perf_counter() - start)
                opening_cpu.append(cpu_seconds(process.pid))
                while not (about := ask(connection, "/about")["lists"]["kept"])["complete"]:
                    pass
                knowing.append(time.perf_counter() - start)
                knowing_cpu.append(cpu_seconds(process.pid))
                assert about["known"] == options.samples
        with viewing(folder) as (connection, process):
            early = [timed(connection, "/page", **{"from": 24 * i, "count": 24})[0] for i in range(PAGES)]
            while not ask(connection, "/about")["lists"]["kept"]["complete"]:
                pass
            address = f"{connection.host}:{connection.port}"
            starts = [rng.randrange(options.samples - 24) for _ in range(PAGES)]
            jumps, whole = [], []
            for at in starts:
                took, page = timed(connection, "/page", **{"from": at, "count": 24})
                jumps.append(took)
                start = time.perf_counter()
                thumbnails(address, page)
                whole.append(took + time.perf_counter() - start)
            text, zebras = search(connection, text="zebra")
            score, scored = search(connection, text="zebra", low=0.45)
            assert zebras == scored == options.samples // 1000
            common = [timed(connection, "/page", text="dog", **{"from": at})[0] for at in starts]
            memory = resident(process.pid)

    ratio = statistics.median(opening) / statistics.median(plain)
    ratio_cpu = statistics.median(opening_cpu) / statistics.median(plain_cpu)
    print_table(
        f"{options.samples:,} samples in {SHARDS} shards, milliseconds; "
        f"the server holds {memory / 2**20:,.0f} MB",
        ["", "median", "most", ""],
        [
            row("all samples by a webdataset loop", plain),
            row("opened: first page, from the start of the command", opening, f"ratio {ratio:.2f}"),
            row("all samples known, from the start", knowing),
            row("webdataset loop, CPU time", plain_cpu),
            row("opened, CPU time", opening_cpu, f"ratio {ratio_cpu:.2f}"),
            row("all samples known, CPU time", knowing_cpu),
            row("next page, while they become known", early),
            row("page anywhere", jumps),
            row("page anywhere with its 24 thumbnails", whole),
            row("page of a frequent phrase", common),
            row("one request of a search for a rare phrase", text, f"all: {sum(text) * 1000:,.0f}"),
            row("the same with a score", score, f"all: {sum(score) * 1000:,.0f}"),
        ],
    )


if __name__ == "__main__":
    main()

"""Small shards, ours and strangers'."""

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from tests.pipeline.conftest import s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]

Members = Iterable[tuple[str, bytes]]


def make_tar(members: Members) -> bytes:
    """A tar as Python's own module writes it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def make_image(seed: int = 0, size: tuple[int, int] = (32, 24), form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    color = tuple(random.Random(seed).randbytes(3))
    Image.new("RGB", size, color).save(file, form)
    return file.getvalue()


def make_record(number: int, boxes: int = 1) -> dict[str, object]:
    """A record with GRIT's fields: the first `boxes` words of its caption have a box each."""
    words = [f"thing{i}" for i in range(max(boxes, 1))]
    caption = " ".join(words)
    starts = [caption.index(word) for word in words[:boxes]]
    regions = [[start, start + 6, 0.1, 0.2, 0.5, 0.6 + number / 1000, 0.9] for start in starts]
    return {"caption": caption, "noun_chunks": regions, "ref_exps": regions}


def make_members(numbers: Iterable[int], boxes: Callable[[int], int] = lambda number: 1) -> Members:
    for number in numbers:
        yield f"{number:06d}.jpg", make_image(number)
        yield f"{number:06d}.json", json.dumps(make_record(number, boxes(number))).encode()
        yield f"{number:06d}.txt", b"thing0"


def write_shards(
    folder: Path, shards: int, samples: int, split: str = "train", boxes: Callable[[int], int] = lambda n: 1
) -> list[str]:
    """Shards of `samples` samples each, numbered through."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    paths = [folder / "data" / f"{split}-{i:05d}-of-{shards:05d}.tar" for i in range(shards)]
    for i, path in enumerate(paths):
        path.write_bytes(make_tar(make_members(range(i * samples, (i + 1) * samples), boxes)))
    return [str(path) for path in paths]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that `recipes/scenes_tasks.yaml` makes of sixty scenes."""
    out = tmp_path_factory.mktemp("scenes") / "out"
    job = load_recipe(
        "recipes/scenes_tasks.yaml",
        [f"output.dir={out}", "source.count=60", "source.part_size=60", "output.shard_size=150kB"],
    )
    run(job, Store(f"{out}.work"), LocalRunner(), Progress())
    return out

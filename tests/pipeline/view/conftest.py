"""Datasets to look at: shards made by hand and two runs of one recipe."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from source_files import tar_bytes

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.view import Server, Side, Viewer, open_side

if TYPE_CHECKING:
    pass

CAPTIONS = [
    "A dog in a green field.",
    "<script>alert(1)</script> and a dog in a field",
    "A dog 🐶 beside a cat, both in a field.",
    "Seven giraffes at a station.",
    "A dog",
]

RECIPE = """
name: small
source: {{type: coco, images: {0}/images, captions: {0}/captions.json, instances: {0}/instances.json}}
stages:
  - image_check: {{min_side: 32}}
  - caption_check: {{min_words: {2}}}
  - noun_chunks
  - ground: {{grounder: annotations}}
  - select_boxes: {{min_score: 0.4}}
  - referring_expressions: {{containment: {3}}}
output: {{dir: {1}}}
"""


def record(key: str, caption: str, *regions: tuple[int, int, float], **more: Any) -> dict[str, Any]:
    """A record as we write them, with a box for each (start, end, score)."""
    items = [[start, end, 0.1, 0.2, 0.5, 0.9, score] for start, end, score in regions]
    return {
        "key": key,
        "caption": caption,
        "width": 40,
        "height": 30,
        "noun_chunks": items,
        "ref_exps": items,
        "boxes": [{"model": "m@1", "phrase": caption[start:end]} for start, end, _ in regions],
        "image_id": key.partition("_")[0],
        **more,
    }


def picture(size: tuple[int, int] = (40, 30), kind: str = "JPEG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "seagreen").save(data, kind)
    return data.getvalue()


@pytest.fixture
def write_shard(tmp_path: Path) -> Callable[..., Path]:
    """Writes records with a picture each, or any members, into a tar of the test's folder."""

    def write(*records: dict[str, Any], name: str = "00000.tar", members: Any = None) -> Path:
        found = dict(members or {})
        for fields in records:
            found[f"{fields['key']}.jpg"] = picture()
            found[f"{fields['key']}.json"] = json.dumps(fields).encode()
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(tar_bytes(found))
        return path

    return write


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The five captions of a drawn dog and cat, run with and without a least number of words, and with
    spans of another kind. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    _coco(folder)
    for name, min_words, containment in [("strict", 3, "all"), ("lenient", 1, "short")]:
        recipe = folder / f"{name}.yaml"
        recipe.write_text(RECIPE.format(folder, folder / name, min_words, containment), encoding="utf-8")
        run(load_recipe(str(recipe)), Store(f"{folder / name}.work"), LocalRunner(), Progress())
    return folder / "strict", folder / "lenient"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Opens datasets and serves them until the test is over."""
    servers: list[Server] = []

    def start(*names: object, host: str = "127.0.0.1") -> Server:
        sides = [name if isinstance(name, Side) else open_side(str(name)) for name in names]
        server = Server(Viewer(sides), host)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _coco(folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "images" / "1.jpg").write_bytes(picture((640, 480)))
    images = [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}]
    captions = [{"id": i, "image_id": 1, "caption": caption} for i, caption in enumerate(CAPTIONS)]
    boxes = [[64, 96, 256, 336], [400, 240, 176, 192]]
    annotations = [
        {"id": i, "image_id": 1, "iscrowd": 0, "area": 1, "segmentation": [], "bbox": box, "category_id": i}
        for i, box in enumerate(boxes, 1)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    instances = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))

"""Runs to report on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

CAPTIONS = [
    "A dog in a green field.",
    "<script>alert(1)</script> and a dog in a field",
    "A dog 🐶 beside a cat, both in a field.",
    "Seven giraffes at a station.",
    "dog",
]
"""Kept are the first three; the fourth has no box, the last too few words."""

RECIPE = """
name: small
source: {{type: coco, images: {0}/images, captions: {0}/captions.json, instances: {0}/instances.json}}
stages:
  - image_check: {{min_side: 32}}
  - caption_check: {{min_words: 3}}
  - noun_chunks
  - ground: {{grounder: annotations}}
  - select_boxes: {{min_score: 0.4}}
  - referring_expressions
output: {{dir: {0}/out, formats: [{1}]}}
"""


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs the five captions of two drawn animals through a recipe; returns the dataset's folder."""

    def make(formats: str = "webdataset") -> Path:
        folder = tmp_path_factory.mktemp("run")
        _draw(folder)
        recipe = folder / "small.yaml"
        recipe.write_text(RECIPE.format(folder, formats), encoding="utf-8")
        job = load_recipe(str(recipe))
        run(job, Store(f"{folder}/out.work"), LocalRunner(), Progress())
        return folder / "out"

    return make


@pytest.fixture(scope="session")
def small(make_run: Callable[..., Path]) -> Path:
    """Such a dataset, not to be changed."""
    return make_run()


def _draw(folder: Path) -> None:
    (folder / "images").mkdir()
    image = Image.new("RGB", (640, 480), "seagreen")
    pen = ImageDraw.Draw(image)
    pen.ellipse((64, 96, 320, 432), "saddlebrown")
    pen.ellipse((400, 240, 576, 432), "black")
    image.save(folder / "images" / "1.jpg")
    images = [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}]
    captions = [{"id": i, "image_id": 1, "caption": caption} for i, caption in enumerate(CAPTIONS)]
    boxes = [{"bbox": [64, 96, 256, 336], "category_id": 1}, {"bbox": [400, 240, 176, 192], "category_id": 2}]
    annotations = [
        {"id": i, "image_id": 1, "iscrowd": 0, "area": 1, "segmentation": [], **box}
        for i, box in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    instances = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))

"""Data for the benchmarks: drawn scenes laid out as COCO, which are read like any photographs."""

import json
from pathlib import Path
from typing import Any

import yaml

from gritmill.pipeline.sources.scenes import ScenesSource, draw
from gritmill.schemas.images import open_header

TEXT_STAGES: dict[str, dict[str, Any]] = {
    "caption_check": {},
    "noun_chunks": {"model": "en_core_web_sm"},
    "ground": {"grounder": "annotations"},
    "select_boxes": {},
    "referring_expressions": {},
}
"""The stages of `recipes/grit.yaml` that look at no pixel."""


def write_coco(folder: Path, images: int) -> None:
    """`images/`, `captions.json` and `instances.json` with two captions an image."""
    scenes = ScenesSource(type="scenes", count=images, part_size=images)
    [part] = scenes.parts()
    columns = scenes.read(part)
    (folder / "images").mkdir(parents=True)
    entries: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    for row, image_id in enumerate(columns["image_id"]):
        reference, number = columns["image"][row], int(image_id.split("-")[1])
        captions.append({"id": row, "image_id": number, "caption": columns["caption"][row]})
        if entries and entries[-1]["id"] == number:
            continue
        name = f"{number:012d}.jpg"
        data = draw(reference.uri, reference.offset)
        (folder / "images" / name).write_bytes(data)
        width, height = open_header(data).size
        entries.append({"id": number, "file_name": name, "width": width, "height": height})
        for thing in columns["annotations"][row]:
            category = categories.setdefault(thing.label, len(categories) + 1)
            x1, x2 = (width * value for value in thing.box[::2])
            y1, y2 = (height * value for value in thing.box[1::2])
            boxes.append(
                {
                    "id": len(boxes),
                    "image_id": number,
                    "category_id": category,
                    "iscrowd": 0,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": [],
                    "area": (x2 - x1) * (y2 - y1),
                }
            )
    (folder / "captions.json").write_text(json.dumps({"images": entries, "annotations": captions}))
    named = [{"id": number, "name": label} for label, number in categories.items()]
    (folder / "instances.json").write_text(
        json.dumps({"images": entries, "annotations": boxes, "categories": named})
    )


def write_recipe(folder: Path, stages: dict[str, dict[str, Any]], part_size: int, out: str = "out") -> Path:
    """A recipe over `write_coco`'s files; its dataset goes to `folder/OUT`."""
    path = folder / f"{out}.yaml"
    recipe = {
        "name": out,
        "source": {
            "type": "coco",
            "images": str(folder / "images"),
            "captions": str(folder / "captions.json"),
            "instances": str(folder / "instances.json"),
            "part_size": part_size,
        },
        "stages": [{name: options} for name, options in stages.items()],
        "output": {"dir": str(folder / out), "shard_size": "100MB"},
    }
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path

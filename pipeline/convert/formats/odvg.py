"""`odvg`: the grounding variant of ODVG, MM-Grounding-DINO's training format: JSON lines, an image a line.

    {"filename": "2405116.jpg", "height": 375, "width": 500, "grounding": {
        "caption": "Two surfers walking down the shore.",
        "regions": [{"bbox": [[206, 156, 282, 248], [287, 160, 340, 250]], "phrase": "Two surfers",
                     "tokens_positive": [[0, 11]]}]}}

As in mmdetection's `mmdet/datasets/odvg.py` and its converter `grit2odvg.py`: corners in pixels, one box or
a list of them, spans of characters, and referring expressions for phrases. Its loader takes no notice of
further fields, which is where ours are: `key`, `captions`, `image_id`, `metadata`, and for each region
`noun_chunk`, `scores`, `models`, `queries`. The detection variant has labels, no captions, and is not read.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gritmill.pipeline.convert.groundings import Groundings
from gritmill.pipeline.convert.reading import (
    Images,
    corner_box,
    hull,
    image_folders,
    json_files,
    json_lines,
    lists,
    objects,
    rest_of,
    size_of,
    split_of,
    text_of,
    texts,
)
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import BySplit, Pictures, opened
from gritmill.schemas.columns import Span
from gritmill.schemas.records import to_json

LOSES = {
    "masks": "there are none",
    "source": "where the image was taken from is not said",
    "image_format": "told by the file's extension alone",
    "conversations": "there are none",
    "provenance": "there is none",
    "annotations": "boxes whose label is no part of the caption cannot be said beside a caption",
}
_FIELDS = ("filename", "height", "width", "grounding", "key", "captions", "image_id")


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """A line at a time."""
    for file in json_files(path, ".jsonl", ".json"):
        found = Images(image_folders(file, images))
        for number, entry in json_lines(file):
            key = f"{number:08d}"
            try:
                if entry is None:
                    raise Unusable("no JSON object")
                key = text_of(entry.get("key")) or f"{split_of(file)}_{key}"
                yield _sample(entry, key, split_of(file), found, losses)
            except Unusable as error:
                losses.row(f"{file}, line {number}", str(error))


def recognises(entry: dict[str, Any]) -> bool:
    """True if a line is one of this format."""
    return "filename" in entry and isinstance(entry.get("grounding"), dict)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """A file of lines for each split; returns how many lines they have."""
    written = 0
    pictures = Pictures(folder / "images", losses, copy_images)
    with BySplit(lambda split: opened(folder / f"{split}.jsonl")) as files:
        for sample in samples:
            record = sample.record
            if not record["caption"]:
                losses.row(record["key"], "it has no caption")
                continue
            if not (record["width"] and record["height"]):
                losses.row(record["key"], "the size of its image is not known")
                continue
            for _ in sample.annotations:
                losses.part(record["key"], "a box whose label is no part of the caption")
            files[record["split"]].write(to_json(_entry(sample, pictures.put(sample))) + b"\n")
            written += 1
    return written


def _entry(sample: Sample, file_name: str) -> dict[str, Any]:
    record = sample.record
    regions: dict[tuple[Span, Span], dict[str, Any]] = {}
    for grounded, expression in zip(sample.grounded, sample.expressions, strict=True):
        region = regions.setdefault(
            (expression, grounded.span),
            {
                "bbox": [],
                "phrase": expression.of(record["caption"]),
                "tokens_positive": [list(expression)],
                "noun_chunk": list(grounded.span),
                "scores": [],
                "models": [],
                "queries": [],
            },
        )
        corners = grounded.box.to_pixels(record["width"], record["height"])
        region["bbox"].append([round(v, 3) for v in corners])  # as grit2odvg does
        region["scores"].append(grounded.score)
        region["models"].append(grounded.model)
        region["queries"].append(grounded.phrase)
    return {
        "filename": file_name,
        "height": record["height"],
        "width": record["width"],
        "grounding": {"caption": record["caption"], "regions": list(regions.values())},
        **{name: record[name] for name in ("key", "captions", "image_id")},
        "metadata": json.loads(record["metadata"]),
    }


def _sample(entry: dict[str, Any], key: str, split: str, images: Images, losses: Losses) -> Sample:
    grounding = entry.get("grounding")
    if not isinstance(grounding, dict):
        raise Unusable("no `grounding`: the detection variant has no captions")
    caption, size = grounding.get("caption"), size_of(entry)
    if not isinstance(caption, str):
        raise Unusable("the caption is no text")
    found = Groundings(caption, key, losses)
    for region in objects(grounding.get("regions")):
        expression = hull(region.get("tokens_positive"))
        chunk = hull([region.get("noun_chunk")]) or expression
        bbox = region.get("bbox")
        for i, each in enumerate(lists(bbox) if lists(bbox) else [bbox]):
            told = (_nth(region.get(name), i) for name in ("models", "queries"))
            score = _nth(region.get("scores"), i, 1.0)
            found.add(chunk, expression, corner_box(each, size), score, *told)
    name = entry.get("filename")
    return make_sample(
        key,
        caption,
        size,
        images.find(name),
        name=text_of(name),
        image_id=text_of(entry.get("image_id")) or text_of(name),
        split=split,
        captions=texts(entry.get("captions")),
        metadata=rest_of(entry, _FIELDS),
        boxes=found.boxes,
        ref_exps=found.expressions,
    )


def _nth(values: object, i: int, otherwise: object = None) -> Any:
    return values[i] if isinstance(values, list) and i < len(values) else otherwise

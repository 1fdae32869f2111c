"""`coco`: COCO's json with captions, with instances, or with the grounding of MDETR.

    captions.json   {"images": [{"id": 139, "file_name": "000000000139.jpg", "width": 640, ...}],
                     "annotations": [{"image_id": 139, "caption": "a dog in a field"}]}
    instances.json  {"images": [...], "annotations": [{"image_id": 139, "category_id": 18,
                     "bbox": [x, y, width, height], "iscrowd": 0}], "categories": [{"id": 18, "name": "dog"}]}
    train.json      {"images": [{"id": 1, "file_name": "139.jpg", "caption": "a dog in a field", ...}],
                     "annotations": [{"image_id": 1, "bbox": [...], "tokens_positive": [[0, 5]]}]}

The first two give a sample for each image, whose caption is the first of them, and are joined where a
folder has both; boxes of categories stand in the record's `annotations`. The third, see
`pipeline/output/coco.py`, gives a sample for each of its images, which are one a caption.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pipeline import files
from pipeline.convert.reading import (
    Images,
    image_folders,
    is_number,
    load_json,
    objects,
    size_of,
    text_of,
    xywh_box,
)
from pipeline.convert.sample import HUMAN, Losses, Sample, Unusable, checked, make_sample, usable
from pipeline.sources.coco_json import load
from schemas.columns import Annotation, GroundedBox, Span
from schemas.errors import UserError
from schemas.records import Region


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Each file is in memory as a whole."""
    for captions, instances in _files(path):
        found = Images(image_folders(captions, images, "data"))
        if captions == instances:
            value = load_json(captions)
            if not recognises(value):
                raise UserError(f"{captions} has no lists `images` and `annotations`; give COCO's file.")
            if is_grounding(value):
                yield from read_grounding(value, _split(captions), found, losses)
                continue
            instances = captions if value.get("categories") else None
            del value  # it may be large, and is read again
        yield from _read_photos(captions, instances, _split(captions), found, losses)


def recognises(value: object) -> bool:
    """True if a JSON value looks like a file of this format."""
    return isinstance(value, dict) and {"images", "annotations"} <= value.keys()


def is_grounding(value: Any) -> bool:
    """True if a file has MDETR's fields."""
    return any("caption" in image for image in objects(value.get("images"))[:100])


def read_grounding(value: dict[str, Any], split: str, images: Images, losses: Losses) -> Iterator[Sample]:
    """The samples of a file with MDETR's fields."""
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in objects(value.get("annotations")):
        by_image[text_of(annotation.get("image_id"))].append(annotation)
    names = {text_of(c.get("id")): text_of(c.get("name")) for c in objects(value.get("categories"))}
    for number, image in enumerate(objects(value.get("images"))):
        id_ = text_of(image.get("id"))
        key = text_of(image.get("key")) or _stem(image.get("file_name")) or id_ or f"{number:08d}"
        try:
            yield _grounded_sample(image, by_image.pop(id_, []), names, key, split, images, losses)
        except Unusable as error:
            losses.row(key, str(error))
    for id_, left in by_image.items():
        losses.part(id_, f"{len(left)} boxes of an image that is not listed")


def _grounded_sample(
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    names: dict[str, str],
    key: str,
    split: str,
    images: Images,
    losses: Losses,
) -> Sample:
    caption, size, name = image.get("caption"), size_of(image), image.get("file_name")
    if not isinstance(caption, str):
        raise Unusable("the caption is no text")
    boxes: list[GroundedBox] = []
    spans: list[Span] = []
    labels: list[Annotation] = []
    for annotation in annotations:
        box = xywh_box(annotation.get("bbox"), size)
        span, longer = _hull(annotation.get("tokens_positive")), _hull([annotation.get("ref_exp")])
        score = annotation.get("score")
        try:
            if box is None:
                raise ValueError("a box that is no numbers")
            if span is None:
                label = names.get(text_of(annotation.get("category_id")), "object")
                labels.append(Annotation(label, usable(box), bool(annotation.get("iscrowd")), []))
                continue
            region = checked(Region(span, box, float(score) if is_number(score) else 1.0), caption)  # type: ignore[arg-type]
            spans.append(checked(region._replace(span=longer or span), caption).span)
        except ValueError as error:
            losses.part(key, str(error))
            continue
        model = text_of(annotation.get("model")) or HUMAN
        asked = text_of(annotation.get("query")) or span.of(caption)
        boxes.append(GroundedBox(region.span, region.box, region.score, model, asked))
    told = image.get("captions")
    return make_sample(
        key,
        caption,
        size,
        images.find(name),
        name=text_of(name),
        image_id=text_of(image.get("original_id")) or text_of(name),
        split=text_of(image.get("split")) or split,
        captions=[text for text in told if isinstance(text, str)] if isinstance(told, list) else [],
        metadata=_metadata(image),
        boxes=boxes,
        ref_exps=spans,
        annotations=labels or None,
    )


_OURS = (
    "id",
    "file_name",
    "width",
    "height",
    "caption",
    "captions",
    "original_id",
    "key",
    "split",
    "metadata",
)


def _metadata(image: dict[str, Any]) -> dict[str, Any]:
    told = image.get("metadata")
    return (told if isinstance(told, dict) else {}) | {k: v for k, v in image.items() if k not in _OURS}


def _hull(spans: object) -> Span | None:
    """MDETR's list of spans -> the one from the first's start to the last's end; None if there is none."""
    pairs = (
        [pair for pair in spans if isinstance(pair, list) and len(pair) == 2]
        if isinstance(spans, list)
        else []
    )
    if not pairs or not all(isinstance(v, int) for pair in pairs for v in pair):
        return None
    return Span(min(start for start, _ in pairs), max(end for _, end in pairs))


def _read_photos(
    captions: str, instances: str | None, split: str, images: Images, losses: Losses
) -> Iterator[Sample]:
    coco = load(
        captions, instances, tuple(f.version for f in map(files.stat, (captions, instances or "")) if f)
    )
    for photo in coco.images:
        annotations, invalid = coco.annotations(photo)
        for _ in range(invalid):
            losses.part(photo.key, "a box that is none, or of no category")
        told = [text for text in photo.captions if isinstance(text, str)]
        width, height = coco.sizes.get(photo.id, (0, 0))
        try:
            yield make_sample(
                photo.key,
                told[0] if told else "",
                (int(width), int(height)),
                images.find(photo.file_name),
                name=text_of(photo.file_name),
                split=split,
                captions=told,
                metadata=photo.metadata,
                annotations=annotations if instances else None,
            )
        except Unusable as error:
            losses.row(photo.key, str(error))


def _files(path: str) -> list[tuple[str, str | None]]:
    """(captions, instances) of a file, or of those of a folder; the same twice where it may be either."""
    if files.stat(path):
        return [(path, path)]
    found = {
        name: file.uri
        for folder in (path, posixpath.join(path, "annotations"))
        for name, file in files.children(folder).items()
        if name.endswith(".json")
    }
    pairs: list[tuple[str, str | None]] = []
    for name, uri in found.items():
        if name.startswith("captions"):
            pairs.append((uri, found.get("instances" + name.removeprefix("captions"))))
        elif not (name.startswith("instances") and "captions" + name.removeprefix("instances") in found):
            pairs.append((uri, uri))
    if not pairs:
        raise UserError(
            f"{path} has no JSON of COCO's; give the file itself, or a folder with `captions.json`."
        )
    return pairs


def _split(uri: str) -> str:
    """What the name of a file says of its split: `instances_val2017.json` -> `validation`."""
    name = posixpath.basename(uri)
    return "validation" if "val" in name else "test" if "test" in name else "train"


def _stem(name: object) -> str:
    return posixpath.splitext(posixpath.basename(name))[0] if isinstance(name, str) else ""

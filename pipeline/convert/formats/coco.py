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

import json
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO

from gritmill.pipeline.convert.groundings import Groundings
from gritmill.pipeline.convert.reading import (
    Images,
    hull,
    image_folders,
    lists,
    numbers,
    objects,
    rest_of,
    size_of,
    split_of,
    text_of,
    texts,
    xywh_box,
)
from gritmill.pipeline.convert.sample import HUMAN, Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import BySplit, Pictures, opened, reopened
from gritmill.pipeline.output.coco import coco_entry, merge
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.foreign.coco import load
from gritmill.pipeline.storage.texts import read_json
from gritmill.schemas.boxes import outline_from_pixels, outline_to_pixels
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import to_json

LOSES = {
    "masks": "their scores and models are not said, the pixels stay",
    "source": "where the image was taken from is not said",
    "image_format": "told by the file's extension alone",
    "conversations": "there are none",
    "provenance": "there is none",
}

_FIELDS = ("id", "file_name", "width", "height", "caption", "captions", "original_id", "key", "split")


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Each file is in memory as a whole."""
    for captions, instances in _files(path):
        found = Images(image_folders(captions, images, "data"))
        if captions == instances:
            value = read_json(captions)
            if not recognises(value):
                raise UserError(f"{captions} has no lists `images` and `annotations`; give COCO's file.")
            if is_grounding(value):
                yield from read_grounding(value, split_of(captions), found, losses)
                continue
            instances = captions if value.get("categories") else None
            del value  # it may be large, and is read again
        yield from _read_photos(captions, instances, split_of(captions), found, losses)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """A file with MDETR's fields for each split; returns how many samples they hold.

    Entries wait in a temporary file, so that memory holds the names of categories only.
    """
    return write_files(samples, folder, losses, Pictures(folder / "images", losses, copy_images).put)


def write_files(
    samples: Iterable[Sample],
    folder: Path,
    losses: Losses,
    put: Callable[[Sample], str],
    file_of: Callable[[str], str] = "{}.json".format,
    phrases_as_categories: bool = False,
) -> int:
    """`write`, for any layout of files; `put` writes a sample's image and names it.

    Categories are `object` for phrases, then other labels.
    """
    written = 0

    @contextmanager
    def fragment(name: str) -> Iterator[_Fragment]:
        with TemporaryFile() as file:
            found = _Fragment(file, {} if phrases_as_categories else {"object": 1})
            yield found
            with opened(folder / name) as out:
                merge([found.lines], out, found.categories)

    with BySplit(fragment, named=file_of) as fragments:
        for sample in samples:
            record = sample.record
            if not (record["width"] and record["height"]):
                losses.row(record["key"], "the size of its image is not known")
                continue
            fragments[record["split"]].add(sample, put(sample), phrases_as_categories)
            written += 1
    return written


class _Fragment:
    """The entries of a file before they have ids, a line each."""

    def __init__(self, file: IO[bytes], categories: dict[str, int]) -> None:
        self._file = file
        self.categories = categories

    def add(self, sample: Sample, file_name: str, phrases_as_categories: bool) -> None:
        record = sample.record
        entry = coco_entry(record, file_name)
        entry["image"] |= {name: record[name] for name in ("key", "captions", "split")}
        entry["image"]["metadata"] = json.loads(record["metadata"])
        for annotation, grounded in zip(entry["annotations"], sample.grounded, strict=True):
            annotation |= {"model": grounded.model, "query": grounded.phrase}
            if phrases_as_categories:
                annotation["category_id"] = self._category(annotation["phrase"])
        size = record["width"], record["height"]
        entry["annotations"] += [
            {
                "category_id": self._category(label),
                "iscrowd": int(crowd),
                "area": round(box.area * size[0] * size[1], 2),
                "bbox": [round(v, 2) for v in box.to_xywh_pixels(*size)],
                "segmentation": [outline_to_pixels(outline, *size) for outline in polygons],
            }
            for label, box, crowd, polygons in sample.annotations
        ]
        self._file.write(to_json(entry) + b"\n")

    def lines(self) -> BinaryIO:
        """The entries from the start."""
        return reopened(self._file)

    def _category(self, name: str) -> int:
        return self.categories.setdefault(name, len(self.categories) + 1)


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
    found = Groundings(caption, key, losses)
    for annotation in annotations:
        box = xywh_box(annotation.get("bbox"), size)
        span = hull(annotation.get("tokens_positive"))
        if span is None:
            label = names.get(text_of(annotation.get("category_id")), "object")
            outlines = [_outline(points, size) for points in lists(annotation.get("segmentation"))]
            found.add_label(label, box, annotation.get("iscrowd"), outlines)
        else:
            model, asked = annotation.get("model"), annotation.get("query")
            drawn = annotation.get("segmentation")
            mask = drawn | {"score": 1.0, "model": HUMAN} if isinstance(drawn, dict) else None
            longer, score = hull([annotation.get("ref_exp")]), annotation.get("score", 1.0)
            found.add(span, longer, box, score, model, asked, mask)
    return make_sample(
        key,
        caption,
        size,
        images.find(name),
        name=text_of(name),
        image_id=text_of(image.get("original_id")) or text_of(name),
        split=text_of(image.get("split")) or split,
        captions=texts(image.get("captions")),
        metadata=rest_of(image, _FIELDS),
        boxes=found.boxes,
        ref_exps=found.expressions,
        masks=found.masks(),
        annotations=found.labels or None,
    )


def _outline(points: list[Any], size: tuple[int, int]) -> list[float]:
    """A polygon of pixels -> 0..1; empty if it is none."""
    found = numbers(points, len(points))
    return outline_from_pixels(found, *size) if found and len(found) >= 6 and len(found) % 2 == 0 else []


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


def _stem(name: object) -> str:
    return posixpath.splitext(posixpath.basename(name))[0] if isinstance(name, str) else ""

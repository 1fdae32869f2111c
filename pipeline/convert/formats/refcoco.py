"""`refcoco`: referring expressions as RefCOCO's: refs and, beside them, COCO's instances.

    refs.json  instances.json       as in `pipeline/storage/foreign/refer.py`

The fields are those that https://github.com/lichengunc/refer reads. Each sentence is a sample, all of which
is one referring expression.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from gritmill.pipeline.convert.groundings import usable
from gritmill.pipeline.convert.reading import (
    Images,
    image_folders,
    objects,
    size_of,
    text_of,
    xywh_box,
)
from gritmill.pipeline.convert.sample import HUMAN, Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import Pictures, json_list, opened, picture_name, reopened
from gritmill.pipeline.output.coco import merge
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.foreign.refer import INSTANCES, Instances, read_refs
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import to_json

LOSES = {
    "masks": "there are none",
    "key": "samples are numbered anew: each box is a referring expression of its own",
    "caption": "only the referring expressions stay, each a sample",
    "captions": "only the referring expressions stay",
    "noun_chunks": "only the referring expressions stay",
    "ref_exps": "each becomes the whole caption of a sample",
    "boxes": "each becomes a sample",
    "scores": "not said; they come back as 1.0",
    "models": "boxes do not say which model found them",
    "phrases": "boxes do not say what the model was asked for",
    "source": "where the image was taken from is not said",
    "image_format": "told by the file's extension alone",
    "image_id": "becomes the image's file name",
    "metadata": "not said",
    "conversations": "there are none",
    "provenance": "there is none",
    "annotations": "boxes without a referring expression cannot be said",
}
_SPLITS = {"train": "train", "val": "validation", "test": "test", "testA": "test", "testB": "test"}
_NAMES = {"validation": "val"}


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Both files are in memory as a whole."""
    folder = posixpath.dirname(path) if path.endswith(".json") else path
    refs_file = path if path.endswith(".json") else posixpath.join(folder, "refs.json")
    instances_file = posixpath.join(folder, INSTANCES)
    if not files.stat(refs_file):
        raise UserError(f"{refs_file} is not there; save RefCOCO's refs as JSON, see docs/convert.md.")
    if not files.stat(instances_file):
        raise UserError(f"{instances_file} is not there; put RefCOCO's instances beside its refs.")
    instances = Instances(instances_file)
    found = Images(image_folders(refs_file, images, "train2014"))
    for _, ref in read_refs(refs_file):
        ref_id = text_of(ref.get("ref_id"))
        known = instances.of(ref)
        photo = known.image or {}
        box = xywh_box((known.annotation or {}).get("bbox"), size_of(photo))
        for sentence in objects(ref.get("sentences")):
            key = f"{ref_id}_{text_of(sentence.get('sent_id'))}"
            try:
                if box is None:
                    raise Unusable("no box: its ann_id or image_id is not among the instances")
                yield _sample(ref, sentence, photo, usable(box), known.category, key, found)
            except ValueError as error:
                losses.row(key, str(error))


def recognises(entry: dict[str, Any]) -> bool:
    """True if an entry is a ref."""
    return {"ref_id", "ann_id", "sentences"} <= entry.keys()


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """Refs and instances, written as they go; returns how many samples had boxes.

    Samples of one image that follow each other share its entry, and sentences of one box a ref. Memory
    holds one image and the names of categories.
    """
    pictures = Pictures(folder / "images", losses, copy_images)
    categories = {"object": 1}
    images = refs = sentences = 0
    seen: set[int] = set()
    with TemporaryFile() as file, json_list(folder / "refs.json") as add_ref:
        for name, of_image in groupby(_expressions(samples, losses), key=lambda e: e.name):
            images += 1
            entry: dict[str, Any] = {}
            for _, of_box in groupby(of_image, key=lambda e: (e.split, e.box, e.category)):
                told = list(of_box)
                first, record = told[0], told[0].sample.record
                seen.update(e.number for e in told)
                if not entry:
                    pictures.put(first.sample)
                    image = {"file_name": name, "width": record["width"], "height": record["height"]}
                    entry = {"image": image, "annotations": []}
                category = categories.setdefault(first.category, len(categories) + 1)
                bbox = first.box.to_xywh_pixels(record["width"], record["height"])
                entry["annotations"].append(
                    {
                        "category_id": category,
                        "iscrowd": 0,
                        "area": round(bbox[2] * bbox[3], 2),
                        "bbox": [round(v, 2) for v in bbox],
                        "segmentation": [],
                    }
                )
                refs += 1
                ids = list(range(sentences, sentences + len(told)))
                sentences += len(told)
                add_ref(
                    {
                        "ref_id": refs,
                        "ann_id": refs,
                        "image_id": images,
                        "category_id": category,
                        "split": first.split,
                        "file_name": name,
                        "sent_ids": ids,
                        "sentences": [
                            {"sent_id": i, "sent": e.text, "raw": e.raw, "tokens": e.text.split()}
                            for i, e in zip(ids, told, strict=True)
                        ],
                    }
                )
            file.write(to_json(entry) + b"\n")
        with opened(folder / INSTANCES) as out:
            merge([lambda: reopened(file)], out, categories)
    return len(seen)


class _Expression(NamedTuple):
    """A box, what is said of it, and the sample (the `number`th) that says so."""

    name: str
    split: str
    box: Box
    category: str
    text: str
    raw: str
    sample: Sample
    number: int


def _expressions(samples: Iterable[Sample], losses: Losses) -> Iterator[_Expression]:
    for number, sample in enumerate(samples):
        record = sample.record
        key, caption = record["key"], record["caption"]
        if not (record["width"] and record["height"]):
            losses.row(key, "the size of its image is not known")
            continue
        if not sample.grounded:
            losses.row(key, "it has no boxes with a referring expression")
            continue
        for _ in sample.annotations:
            losses.part(key, "a box without a referring expression")
        metadata = json.loads(record["metadata"])
        said = metadata.get("split")
        was: str = said if isinstance(said, str) and said in _SPLITS else record["split"]
        category = metadata.get("category")
        raw = metadata.get("raw")
        for grounded, span in zip(sample.grounded, sample.expressions, strict=True):
            text = span.of(caption)
            yield _Expression(
                picture_name(sample),
                _NAMES.get(was, was),
                grounded.box,
                category if isinstance(category, str) and category else "object",
                text,
                raw if isinstance(raw, str) and text == caption else text,
                sample,
                number,
            )


def _sample(
    ref: dict[str, Any],
    sentence: dict[str, Any],
    photo: dict[str, Any],
    box: Box,
    category: str | None,
    key: str,
    images: Images,
) -> Sample:
    text = sentence.get("sent")
    if not isinstance(text, str) or not text:
        raise Unusable("a sentence that is no text")
    span, split = Span(0, len(text)), text_of(ref.get("split")) or "train"
    told = [t for s in objects(ref.get("sentences")) if isinstance(t := s.get("sent"), str)]
    name = photo.get("file_name")
    metadata = {field: ref.get(field) for field in ("ref_id", "ann_id", "split")}
    metadata |= {"sent_id": sentence.get("sent_id"), "raw": sentence.get("raw")}
    metadata["category"] = category
    return make_sample(
        key,
        text,
        size_of(photo),
        images.find(name),
        name=text_of(name),
        image_id=text_of(name),
        split=_SPLITS.get(split, split),
        captions=told,
        metadata=metadata,
        boxes=[GroundedBox(span, box, 1.0, HUMAN, text)],
        ref_exps=[span],
    )

"""COCO json with the phrase-grounding fields of MDETR (`caption`, `tokens_positive`), one file a split.

    {"images": [{"id": 1, "file_name": "000373938.jpg", "width": 1024, "height": 693,
                 "caption": "a wire hanger with a paper cover", "original_id": "000373938"}, ...],
     "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 434059.8,
                      "bbox": [20.12, 215.2, 965.19, 450.31], "tokens_positive": [[19, 32]],
                      "phrase": "a paper cover", "ref_exp": [19, 66], "score": 0.7929}, ...],
     "categories": [{"id": 1, "name": "object"}]}

Where the recipe segments, each has its `segmentation` (run lengths, empty where there is no good mask), whose
pixels are then its `area`.

`pycocotools` and `torchvision.datasets.CocoDetection` load it; `file_name` is the member's name in
the webdataset shards, so after `tar xf` of those the folder is the image root. Pixels are those of the
image as a viewer sees it (EXIF orientation applied). As in MDETR an image stands there once for each
caption, and there is one category: phrases are an open vocabulary, millions of them in a set of GRIT's
size and most of them met once, so that a table of them would be as long as the data and an average
over categories would say nothing. Who wants classes can group by `phrase`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from gritmill.pipeline.output.formats import Format
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.schemas.masks import Mask
from gritmill.schemas.records import Record, Region, to_json, to_record


class CocoWriter:
    """A shard's fragment: a line for each sample, with its image and annotations but without ids."""

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._file = file
        self._extension = extension

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        file_name = f"{member_stem(sample['key'])}.{self._extension}"
        self._file.write(to_json(coco_entry(to_record(sample), file_name)) + b"\n")

    def close(self) -> None:
        """Nothing is left to write: a fragment has no end mark."""


def merge(
    fragments: Sequence[Callable[[], BinaryIO]], out: BinaryIO, categories: Iterable[str] = ("object",)
) -> None:
    """The fragments of a split, in order, each as a function that opens it -> the split's json.

    Ids count from 1 in that order, those of the categories, too. Goes through the fragments twice, a
    line at a time.
    """
    out.write(b'{"images":[')
    for i, entry in enumerate(_entries(fragments), 1):
        out.write((b",\n" if i > 1 else b"\n") + to_json({"id": i, **entry["image"]}))
    out.write(b'\n],"annotations":[')
    number = 0
    for i, entry in enumerate(_entries(fragments), 1):
        for annotation in entry["annotations"]:
            number += 1
            out.write(
                (b",\n" if number > 1 else b"\n") + to_json({"id": number, "image_id": i, **annotation})
            )
    names = [{"id": i, "name": name} for i, name in enumerate(categories, 1)]
    out.write(b'\n],"categories":' + to_json(names) + b"}\n")


def coco_entry(record: Record, file_name: str) -> dict[str, Any]:
    """A record -> `{"image": {...}, "annotations": [{...}, ...]}`, without ids."""
    width, height, caption = record["width"], record["height"], record["caption"]
    chunks = record.get("noun_chunks") or []
    annotations = []
    expressions, items = record.get("ref_exps") or chunks, record.get("masks") or [None] * len(chunks)
    for chunk, expression, item in zip(chunks, expressions, items, strict=True):
        span, box, score = Region.from_item(chunk)
        x, y, w, h = box.to_xywh_pixels(width, height)
        mask = None if item is None else Mask.from_item(item)
        annotations.append(
            {
                "category_id": 1,
                "iscrowd": 0,
                # Hundredths of a pixel, as in COCO's own files.
                "area": mask.area if mask else round(w * h, 2),
                "bbox": [round(v, 2) for v in (x, y, w, h)],
                **({"segmentation": mask.segmentation()} if mask else {}),
                "tokens_positive": [list(span)],
                "phrase": span.of(caption),
                "ref_exp": list(Region.from_item(expression).span),
                "score": score,
            }
        )
    image = {
        "file_name": file_name,
        "width": width,
        "height": height,
        "caption": caption,
        "original_id": record["image_id"],
    }
    return {"image": image, "annotations": annotations}


def _entries(fragments: Sequence[Callable[[], BinaryIO]]) -> Iterator[dict[str, Any]]:
    for open_fragment in fragments:
        with open_fragment() as lines:
            for line in lines:
                yield json.loads(line)


COCO = Format(CocoWriter, "coco/{split}.json", merge=merge)

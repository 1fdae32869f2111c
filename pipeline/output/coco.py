"""COCO json with the phrase-grounding fields of MDETR (`caption`, `tokens_positive`), one file a split.

    {"images": [{"id": 1, "file_name": "000373938.jpg", "width": 1024, "height": 693,
                 "caption": "a wire hanger with a paper cover", "original_id": "000373938"}, ...],
     "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 434059.8,
                      "bbox": [20.12, 215.2, 965.19, 450.31], "tokens_positive": [[19, 32]],
                      "phrase": "a paper cover", "ref_exp": [19, 66], "score": 0.7929}, ...],
     "categories": [{"id": 1, "name": "object"}]}

`pycocotools` and `torchvision.datasets.CocoDetection` load it; `file_name` is the member's name in
the webdataset shards, so after `tar xf` of those the folder is the image root. Pixels are those of the
image as a viewer sees it (EXIF orientation applied). As in MDETR an image stands there once for each
caption, and there is one category: phrases are an open vocabulary, millions of them in a set of GRIT's
size and most of them met once, so that a table of them would be as long as the data and an average
over categories would say nothing. Who wants classes can group by `phrase`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from pipeline.output.webdataset import member_stem
from schemas.records import to_json


class CocoWriter:
    """A shard's fragment: a line for each sample, with its image and annotations but without ids."""

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._file = file
        self._extension = extension

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        self._file.write(to_json(_entry(sample, self._extension)) + b"\n")

    def close(self) -> None:
        """Nothing is left to write: a fragment has no end mark."""


def merge(fragments: Sequence[Callable[[], BinaryIO]], out: BinaryIO) -> None:
    """The fragments of a split, in order, each as a function that opens it -> the split's json.

    Ids count from 1 in that order. Goes through the fragments twice, a line at a time.
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
    out.write(b'\n],"categories":[{"id":1,"name":"object"}]}\n')


def _entry(sample: Mapping[str, Any], extension: str) -> dict[str, Any]:
    width, height, caption = sample["width"], sample["height"], sample["caption"]
    annotations = []
    boxes = sample.get("boxes") or []
    ref_exps = sample.get("ref_exps")
    if ref_exps is None:
        ref_exps = [box.span for box in boxes]
    for grounded, ref_exp in zip(boxes, ref_exps, strict=True):
        x, y, w, h = grounded.box.to_xywh_pixels(width, height)
        annotations.append(
            {
                "category_id": 1,
                "iscrowd": 0,
                # Hundredths of a pixel, as in COCO's own files.
                "area": round(w * h, 2),
                "bbox": [round(v, 2) for v in (x, y, w, h)],
                "tokens_positive": [list(grounded.span)],
                "phrase": grounded.span.of(caption),
                "ref_exp": list(ref_exp),
                "score": grounded.score,
            }
        )
    image = {
        "file_name": f"{member_stem(sample['key'])}.{extension}",
        "width": width,
        "height": height,
        "caption": caption,
        "original_id": sample["image_id"],
    }
    return {"image": image, "annotations": annotations}


def _entries(fragments: Sequence[Callable[[], BinaryIO]]) -> Iterator[dict[str, Any]]:
    for open_fragment in fragments:
        with open_fragment() as lines:
            for line in lines:
                yield json.loads(line)

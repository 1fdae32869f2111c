"""REFER's refs (lichengunc/refer): RefCOCO, RefCOCO+, RefCOCOg. Nothing in them is checked here.

    refs.json       [{"ref_id": 1, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train",
                      "file_name": "COCO_train2014_000000581857_16.jpg", "sent_ids": [0, 1], "sentences": [
                        {"sent_id": 0, "sent": "lady in blue shirt", "raw": "Lady in blue shirt.",
                         "tokens": ["lady", "in", "blue", "shirt"]}, ...]}, ...]
    instances.json  COCO's, with the boxes that `ann_id` names and the sizes of the images

Refs may be JSON lines, too. REFER's own are a pickle, which runs whatever is in it and is therefore not read:
load it once where you trust it and save the list with `json.dump`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from gritmill.pipeline.storage.texts import json_lines, parse_json, read_json, read_text
from gritmill.schemas.errors import UserError

INSTANCES = "instances.json"

Fields = dict[str, Any]


def read_refs(uri: str) -> Iterator[tuple[str, Fields]]:
    """Each ref with its place: ("refs.jsonl, line 3", {...}). Raises `UserError` for what is no JSON."""
    text = read_text(uri)
    if text.lstrip()[:1] != "[":
        yield from json_lines(text, uri)
        return
    for number, ref in enumerate(parse_json(text, uri), 1):
        if not isinstance(ref, dict):
            raise UserError(f"{uri}: ref {number} is no JSON object. Mend the list.")
        yield f"{uri}, ref {number}", ref


class Object(NamedTuple):
    """What the instances say of a ref; None for what they do not know."""

    image: Fields | None
    annotation: Fields | None
    category: str | None


class Instances:
    """The boxes of the objects, the sizes of the images and the names of the categories."""

    def __init__(self, uri: str) -> None:
        """Raises `UserError` for a file that is none of COCO's."""
        self.uri = uri
        told = read_json(uri)
        if not isinstance(told, dict) or not {"images", "annotations"} <= told.keys():
            raise UserError(f"{uri} is none of COCO's files; put REFER's {INSTANCES} there.")
        self._images = _by_id(told["images"])
        self._annotations = _by_id(told["annotations"])
        self._categories = _by_id(told.get("categories"))

    def of(self, ref: Fields) -> Object:
        category = self._categories.get(str(ref.get("category_id")), {}).get("name")
        return Object(
            self._images.get(str(ref.get("image_id"))),
            self._annotations.get(str(ref.get("ann_id"))),
            category if isinstance(category, str) else None,
        )


def _by_id(entries: object) -> dict[str, Fields]:
    found = entries if isinstance(entries, list) else []
    return {str(entry.get("id")): entry for entry in found if isinstance(entry, dict)}

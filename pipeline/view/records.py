"""Records of any origin -> entries. What they hold is nobody's promise."""

import json
import math
from typing import Any

from gritmill.pipeline.gallery import BoxView, GalleryEntry, PhraseView, TurnView
from gritmill.pipeline.gallery.from_record import from_record
from gritmill.pipeline.view.listing import unreadable
from gritmill.schemas.images import open_header, oriented_size

MAX_SIDE = 1_000_000
"""Images of more pixels a side are none."""

_WRONG = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


def entry_of(key: str, record: dict[str, Any]) -> GalleryEntry:
    """A record, ours or foreign, which may lack fields, as an entry without image.

    Boxes that belong to no words of the caption (`annotations`) come last, one phrase a label.
    """
    record = {"key": key, "caption": "", **record}
    annotations = record.pop("annotations", None)
    # Ours are a JSON string, LLaVA's a list.
    talk = [] if isinstance(record.get("conversations"), str) else record.pop("conversations", None)
    try:
        entry = from_record(record)
        entry["turns"] += _turns(talk or [])
        entry["phrases"] = [*entry["phrases"], *_labelled(annotations or [])]
        _check(entry)
    except _WRONG as error:
        return unreadable(key, "bad_record", f"{type(error).__name__}: {error}")
    return entry


def told_size(record: dict[str, Any]) -> tuple[int, int] | None:
    """(width, height) if a record says them."""
    width, height = record.get("width"), record.get("height")
    if isinstance(width, int) and isinstance(height, int) and 0 < min(width, height) <= MAX_SIDE:
        return (width, height) if max(width, height) <= MAX_SIDE else None
    return None


def measured_size(data: bytes) -> tuple[int, int]:
    """(width, height) that an image's header says. Raises `OSError` for none."""
    try:
        return oriented_size(open_header(data))
    except Exception as error:  # codecs raise whatever they like at hostile bytes
        raise OSError(f"no image: {error}") from error


def _turns(talk: list[Any]) -> list[TurnView]:
    """LLaVA's `[{"from": "human", "value": "..."}]`, whose boxes stay what they are: text."""
    roles = {"gpt": "assistant"}
    turns = [(turn.get("from") or turn["role"], turn.get("value") or turn["content"]) for turn in talk]
    return [{"role": roles.get(role, str(role)), "text": str(text), "boxes": []} for role, text in turns]


def _labelled(annotations: list[Any]) -> list[PhraseView]:
    found: dict[str, PhraseView] = {}
    for annotation in annotations:
        label = str(annotation["label"])
        phrase = found.setdefault(label, {"start": 0, "end": 0, "boxes": []})
        box = [float(v) for v in annotation["box"]]
        view: BoxView = {"box": box, "score": None, "model": "annotations", "phrase": label, "checks": {}}
        phrase["boxes"].append(view)
    return list(found.values())


def _check(entry: GalleryEntry) -> None:
    """Raises `ValueError` or `TypeError` for what a page could not draw."""
    if not isinstance(entry["key"], str) or not isinstance(entry["caption"], str):
        raise TypeError("key and caption must be texts")
    for phrase in entry["phrases"]:
        for view in phrase["boxes"]:
            if not all(map(math.isfinite, view["box"])):
                raise ValueError("a box that is not finite")
            if not isinstance(view["model"], str) or not isinstance(view["phrase"], str):
                raise TypeError("model and phrase of a box must be texts")
            if not all(isinstance(passed, bool) for passed in view["checks"].values()):
                raise TypeError("checks of a box must be true or false")
    json.dumps(entry, allow_nan=False)

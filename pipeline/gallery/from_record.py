"""Our records (`schemas/records.py`) and the columns of a run -> entries."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from gritmill.pipeline.gallery.entry import BoxView, GalleryEntry, ImageView, PhraseView, TurnView
from gritmill.schemas import conversations
from gritmill.schemas.columns import SAMPLE_COLUMNS, BoxCheck, GroundedBox, Span
from gritmill.schemas.conversations import NOWHERE, Conversation, Turn, placeholder
from gritmill.schemas.public import public_text
from gritmill.schemas.records import MEASURED, Record, Region

_PLACEHOLDER = re.compile(r"<region:[0-9]{1,9}>")
COLUMNS: dict[str, Any] = {
    **SAMPLE_COLUMNS,
    "noun_chunks": list[Span],
    "candidates": list[GroundedBox],
    "boxes": list[GroundedBox],
    "ref_exps": list[Span],
    "box_checks": list[list[BoxCheck]],
    "conversations": list[Conversation],
}
"""What `from_dropped` reads, with types: a recipe's own stage may give one of the names to something else.
All but those of `SAMPLE_COLUMNS` may be absent."""

_Drawn = tuple[Span, GroundedBox | None, dict[str, bool]]
"""Words, a box for them if there is one, and the checks that it went through."""

_SHOWN = {"key", "caption", "noun_chunks", "ref_exps", "boxes", "conversations"}


def from_record(record: Record, image: ImageView | None = None) -> GalleryEntry:
    """A finished sample. Phrases are its referring expressions, or noun chunks where it has none.

    Raises `ValueError` or `LookupError` for a record that is none.
    """
    regions = [Region.from_item(item) for item in record.get("ref_exps") or record.get("noun_chunks") or ()]
    origins = record.get("boxes") or [{"model": "", "phrase": ""}] * len(regions)
    boxes = [
        GroundedBox(region.span, region.box, region.score, origin["model"], origin["phrase"])
        for region, origin in zip(regions, origins, strict=True)
    ]
    checks = [_passed(origin.get("checks") or {}) for origin in origins]
    talk = conversations.from_json(record["conversations"]) if record.get("conversations") else []
    provenance = {name: value for name, value in record.items() if name not in _SHOWN}
    if provenance.get("captions") == [record["caption"]]:
        del provenance["captions"]
    return {
        "key": record["key"],
        "image": image,
        "caption": record["caption"],
        "phrases": _phrases((box.span, box, passed) for box, passed in zip(boxes, checks, strict=True)),
        "turns": _turns(talk),
        "stage": None,
        "reason": None,
        "value": None,
        "threshold": None,
        "provenance": _with_metadata(provenance),
    }


def from_dropped(
    sample: Mapping[str, Any],
    image: ImageView | None,
    stage: str,
    reason: str,
    value: str,
    threshold: str,
) -> GalleryEntry:
    """A sample that a stage dropped, from the columns that it had by then; None is what the source lacks.

    Its boxes are those that were found, or else all that were considered, with scores too low perhaps.
    """
    found: list[GroundedBox] = sample.get("boxes") or sample.get("candidates") or []
    spans: list[Span] = sample.get("noun_chunks") or []
    grounded = sample.get("ref_exps") or [box.span for box in found]
    checked: list[list[BoxCheck]] = sample.get("box_checks") or [[] for _ in found]
    checks = [{check.check: check.passed for check in of_box} for of_box in checked]
    drawn: list[_Drawn] = list(zip(grounded, found, checks, strict=True))
    drawn += [(span, None, {}) for span in spans if all(span != box.span for box in found)]
    ref = sample["image"].ref if sample["image"] else None
    provenance = {
        "image_id": sample["image_id"],
        # As in a record: nothing of this machine.
        "source": ref._replace(uri=public_text(ref.uri))._asdict() if ref else None,
        "metadata": sample["metadata"],
    }
    return {
        "key": sample["key"] or "",
        "image": image,
        "caption": sample["caption"] or "",
        "phrases": _phrases(drawn),
        "turns": _turns(sample.get("conversations") or []),
        "stage": stage,
        "reason": reason,
        "value": value or None,
        "threshold": threshold or None,
        "provenance": _with_metadata(provenance),
    }


def _phrases(drawn: Iterable[_Drawn]) -> list[PhraseView]:
    """The boxes of each span together, in the order of the caption; the outer of nested spans first."""
    found: dict[Span, list[BoxView]] = {}
    for span, box, checks in drawn:
        views = found.setdefault(span, [])
        if box is not None and all(map(math.isfinite, box.box)):
            score = box.score if math.isfinite(box.score) else None
            model = public_text(box.model)
            corners = list(box.box)
            views.append(
                {"box": corners, "score": score, "model": model, "phrase": box.phrase, "checks": checks}
            )
    ordered = sorted(found, key=lambda span: (span.start, -span.end))
    return [{"start": span.start, "end": span.end, "boxes": found[span]} for span in ordered]


def _passed(checks: Mapping[str, Any]) -> dict[str, bool]:
    """Of a record; those of Parquet have null for what was not checked."""
    return {name: passed for name, passed in checks.items() if passed is not None}


def _turns(talk: Iterable[Conversation]) -> list[TurnView]:
    return [_turn(turn) for conversation in talk for turn in conversation.turns]


def _turn(turn: Turn) -> TurnView:
    """Boxes are numbered one by one; those of a phrase stand behind its words."""
    text, groups = turn.text, [region.corners for region in turn.regions]
    if turn.phrases:
        groups = [phrase.boxes for phrase in turn.phrases]
        for number, phrase in sorted(enumerate(turn.phrases), key=lambda pair: -pair[1].span.end):
            text = text[: phrase.span.end] + placeholder(number) + text[phrase.span.end :]
    first = 0
    spelled: dict[str, str] = {}
    for number, boxes in enumerate(groups):
        spelled[placeholder(number)] = "".join(placeholder(first + i) for i in range(len(boxes)))
        first += len(boxes)
    for number, region in enumerate(turn.regions):
        if not region.corners:
            points = " ".join(f"({x:.3f}, {y:.3f})" for x, y in region.points)
            spelled[placeholder(number)] = points or NOWHERE
    text = _PLACEHOLDER.sub(lambda match: spelled.get(match[0], match[0]), text)
    return {"role": turn.role, "text": text, "boxes": [list(box) for box in chain(*groups)]}


def _with_metadata(provenance: dict[str, Any]) -> dict[str, Any]:
    """The source's metadata and what was measured as objects, where they are some."""
    for name in ("metadata", MEASURED):
        try:
            value = json.loads(provenance.pop(name, None) or "{}")
        except (ValueError, RecursionError):
            continue
        if value:
            provenance[name] = value
    return provenance

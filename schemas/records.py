"""A finished sample as one JSON record: GRIT's released fields first, then ours.

    {"key": "000373938", "caption": "a wire hanger with a paper cover", "width": 1024, "height": 693,
     "noun_chunks": [[19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929]],
     "ref_exps":    [[19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929]],
     "boxes": [{"model": "IDEA-Research/grounding-dino-tiny@a2bb814", "phrase": "a paper cover"}],
     "image_id": "000373938", "split": "train", "image_format": "jpeg",
     "source": {"uri": "00037.tar", "offset": 1536, "length": 88210},
     "captions": ["a wire hanger with a paper cover"], "metadata": "{\"url\":\"https://...\"}"}

`noun_chunks`, `ref_exps` and `boxes` are parallel; they are left out where the recipe grounds nothing. Where
it verifies boxes, each entry of `boxes` also says which checks it passed, the same ones everywhere:
`"checks": {"min_area": true, "agreement": false}`. So is `masks` beside them where it segments, `{"size":
[693, 1024], "counts": "...", "score": 0.97, "model": "..."}` each (`schemas/masks.py`); a mask without a
pixel stands where there is no good one. `conversations` comes last where the recipe makes some
(`schemas/conversations.py` reads it), and after it `provenance`, an object for each, which every conversation
holds as well: here for those who do not open the string. Where the recipe keeps columns of stages, `measured`
stands before them, `"{\"sharpness\":412.5}"`. Otherwise every record has the same fields, and `metadata`,
`measured` and `conversations` stay JSON strings: loaders that infer a schema from the first samples
(`datasets` takes five) silently drop fields which only come later, and fail where a list was empty at first.

A record tells nothing of the machine that it was made on, and does not depend on it: of an absolute path
`source.uri` and the names of models keep the last part, `.../00037.tar`, and of a URL no password and no
query. `metadata` is the source's own words and stays as it is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gritmill.schemas import conversations
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.masks import Mask
from gritmill.schemas.public import public_text

Record = dict[str, Any]

COLUMNS = (
    "key",
    "caption",
    "width",
    "height",
    "boxes",
    "ref_exps",
    "box_checks",
    "masks",
    "image_id",
    "split",
    "image_format",
    "image",
    "captions",
    "metadata",
    "conversations",
)
"""Columns that stand in a record: `to_record` reads no others."""

MEASURED = "measured"
"""What a sample calls its `Measured`, and a record the JSON of their values."""

FIELDS = (
    "key",
    "caption",
    "width",
    "height",
    "noun_chunks",
    "ref_exps",
    "boxes",
    "masks",
    "image_id",
    "split",
    "image_format",
    "source",
    "captions",
    "metadata",
    MEASURED,
    "conversations",
    "provenance",
)
"""All that a record may hold, in this order."""

TYPES = "columns.json"
"""File of a dataset that says the types of what its records hold under `measured`: `{"sharpness":
"float"}`."""

BESIDE_BOXES = ("masks", "box_checks")
"""Columns with an entry for each of `boxes`, which may be null as a whole."""


class Region(NamedTuple):
    """An entry of `noun_chunks` or `ref_exps`: a span of the caption, its box, the box's raw score.

    >>> Region(Span(19, 32), Box(0.0196, 0.3105, 0.9622, 0.9603), 0.7929).to_item()
    [19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929]
    """

    span: Span
    box: Box
    score: float

    def to_item(self) -> list[float]:
        """The released form: [start, end, x1, y1, x2, y2, score]."""
        return [*self.span, *self.box, self.score]

    @classmethod
    def from_item(cls, item: object) -> "Region":
        """The released form -> a region, whose values may still be out of any range.

        Whole floats pass as offsets, as Parquet's list<double> gives them back. Raises `ValueError`
        if it is not seven numbers, of which the first two are whole.
        """
        if not isinstance(item, Sequence) or len(item) != 7 or not all(_is_number(v) for v in item):
            raise ValueError("not seven numbers")
        try:
            start, end, x1, y1, x2, y2, score = map(float, item)
        except OverflowError as error:
            raise ValueError("a number beyond any range") from error
        if not (start.is_integer() and end.is_integer()):
            raise ValueError(f"offsets {start}, {end} are not whole numbers")
        return cls(Span(int(start), int(end)), Box(x1, y1, x2, y2), score)


class Measured(NamedTuple):
    """Columns of stages that the recipe keeps.

    >>> Measured({"sharpness": 412.5, "language": "en"}, {"sharpness": float, "language": str})
    """

    values: Mapping[str, Any]
    kinds: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """The values, tuples with names as objects."""
        return {name: _plain(value) for name, value in self.values.items()}


def to_record(sample: Mapping[str, Any]) -> Record:
    """The columns of a finished sample -> its record, see the module's example.

    Reads `boxes: list[GroundedBox]` and `ref_exps: list[Span]`, parallel, `masks` and `box_checks`, and
    `conversations: list[Conversation]` and `measured: Measured`, if they are there.
    Where one sample of a mix has masks or checks, all have the fields: null stands for empty masks and for no
    check.
    """
    record: Record = {name: sample[name] for name in ("key", "caption", "width", "height")}
    boxes = sample.get("boxes")
    if boxes is not None:
        record["noun_chunks"] = [Region(b.span, b.box, b.score).to_item() for b in boxes]
        ref_exps = sample.get("ref_exps")
        if ref_exps is not None:
            pairs = zip(ref_exps, boxes, strict=True)
            record["ref_exps"] = [Region(span, b.box, b.score).to_item() for span, b in pairs]
        record["boxes"] = [{"model": public_text(b.model), "phrase": b.phrase} for b in boxes]
        if "box_checks" in sample:
            box_checks = [[] for _ in boxes] if sample["box_checks"] is None else sample["box_checks"]
            for entry, checks in zip(record["boxes"], box_checks, strict=True):
                entry["checks"] = {check.check: check.passed for check in checks}
        if "masks" in sample:
            empty = Mask.empty(sample["height"], sample["width"])
            masks = [empty for _ in boxes] if sample["masks"] is None else sample["masks"]
            record["masks"] = [mask.to_item() for mask, _ in zip(masks, boxes, strict=True)]
    record |= {name: sample[name] for name in ("image_id", "split", "image_format")}
    ref = sample["image"].ref
    record["source"] = {"uri": public_text(ref.uri), "offset": ref.offset, "length": ref.length}
    record["captions"] = sample["captions"] or [sample["caption"]]
    record["metadata"] = sample["metadata"] or "{}"
    if (measured := sample.get(MEASURED)) is not None:
        record[MEASURED] = to_json(_without_infinities(measured.plain())).decode()
    if sample.get("conversations") is not None:
        told = [_public(conversation) for conversation in sample["conversations"]]
        record["conversations"] = conversations.to_json(told)
        if told:  # a loader that infers a schema fails where a list was empty at first
            record["provenance"] = [conversation.provenance._asdict() for conversation in told]
    return record


def _public(conversation: Conversation) -> Conversation:
    origin = conversation.provenance
    return conversation._replace(provenance=origin._replace(model=public_text(origin.model)))


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON, the same bytes for the same value. Raises `ValueError` for NaN or infinity."""
    return _encode(value).encode()


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _without_infinities(value: Any) -> Any:
    """JSON has no number for them, nor for NaN: null."""
    if isinstance(value, dict):
        return {name: _without_infinities(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

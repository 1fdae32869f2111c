"""`finished`: the shards of a finished run, with the boxes, masks and conversations that it made.

source: {type: finished, shards: out/llava_instruct/data/*.tar, carry: [conversations]}
"""

import json
import math
import posixpath
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from itertools import islice
from typing import Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import json_object
from gritmill.pipeline.sources.keys import safe_key
from gritmill.pipeline.sources.webdataset import MAX_JSON, WebdatasetSource
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.pipeline.storage.samples import samples
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas import conversations
from gritmill.schemas.column_types import type_of
from gritmill.schemas.columns import BoxCheck, Check, Columns, GroundedBox, Reject, Span
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.errors import UserError
from gritmill.schemas.masks import Mask
from gritmill.schemas.records import TYPES, Region

Kind = Literal["boxes", "masks", "checks", "measured", "conversations"]

COLUMNS: dict[Kind, dict[str, Any]] = {
    "boxes": {"boxes": list[GroundedBox], "ref_exps": list[Span]},
    "masks": {"masks": list[Mask]},
    "checks": {"box_checks": list[list[BoxCheck]]},
    "measured": {},
    "conversations": {"conversations": list[Conversation]},
}
"""What can be carried over, and the columns of each; those of `measured` stand in the dataset's
`columns.json`."""

LOOKS_AT = 100
"""Most records of a folder that are read to learn what its run has made."""

_CHECKS = TypeAdapter(dict[Check, bool])
_WORDS = TypeAdapter(dict[str, str])


class FinishedSource(WebdatasetSource):
    """Reads what a run has written as the run had it; a tar is a part.

    Keys, image ids, captions and metadata are those of the run, and so is whatever its records hold of boxes,
    referring expressions, masks, checks, columns that its recipe kept (with their types, if its
    `columns.json` lies beside the shards or above them), conversations and where these came from. A box
    without an expression has its noun chunk for one. Of a check a record tells only whether the box passed
    it: its value and threshold are NaN.

    Records do not hold, so that nothing carries over: noun chunks that got no box, parses, candidates, what
    filters measured and the recipe did not `keep`, the `origin` of a mix. Splits are dealt anew, by the
    image, so that equal options give equal ones. To choose boxes anew, carry none.
    """

    offsets_into = {"boxes": "caption", "ref_exps": "caption"}
    aligned_with = {"ref_exps": "boxes", "masks": "boxes", "box_checks": "boxes"}

    type: Literal["finished"] = "finished"  # type: ignore[assignment]
    images: list[str] = ["jpg", "png", "webp", "gif", "bmp", "tiff"]
    """Extensions of images, all that a run gives."""
    carry: list[Kind] | None = Field(default=None, min_length=1)
    """What is taken over: `boxes` with their referring expressions, the `masks` of them, the `checks` that
    they went through, what was `measured`, `conversations` with where they came from. null takes all that the
    first records of each folder show. Samples that have none get none."""

    @model_validator(mode="after")
    def _carries_boxes_with_what_is_theirs(self) -> Self:
        for kind in {"masks", "checks"} & set(self.carry or ()):
            if "boxes" not in (self.carry or ()):
                raise ValueError(f"carry names {kind} without the boxes that they belong to; add boxes")
        return self

    def problems(self) -> list[str]:
        found = super().problems()
        if found:
            return found
        try:
            there = self._there
        except (UserError, OSError) as error:
            return [str(error)]
        lacking = [kind for kind in self.carry or () if kind not in there]
        if lacking:
            return [
                f"carry names {', '.join(lacking)}, of which the records of this run have none; leave it out"
            ]
        try:
            is_typed = bool(self._measured)
        except (UserError, OSError) as error:
            return [str(error)]
        if "measured" in (self.carry or ()) and not is_typed:
            return [
                f"carry names measured, but {TYPES}, which tells types, is missing; put it beside the tars"
            ]
        return []

    def provides(self) -> dict[str, Any]:
        columns = super().provides()
        for kind in self._carried:
            columns |= self._measured if kind == "measured" else COLUMNS[kind]
        return columns

    def read(self, part: Part) -> Columns:
        columns = super().read(part)
        prefix = self._prefix(part)
        kinds = self._measured if "measured" in self._carried else {}
        rows = [_row(metadata, kinds) for metadata in columns["metadata"]]
        columns["key"] = [
            name if isinstance(row, Reject) else _key(name, prefix, row["key"])
            for name, row in zip(columns["key"], rows, strict=True)
        ]
        for name in self.provides():
            if name not in ("key", "image_id", "image", "caption"):
                columns[name] = [row if isinstance(row, Reject) else row[name] for row in rows]
        return columns

    @property
    def _carried(self) -> list[Kind]:
        if self.carry is not None:
            return [kind for kind in COLUMNS if kind in self.carry]
        try:
            return [kind for kind in COLUMNS if kind in self._there]
        except (UserError, OSError):
            return []  # `problems` says it

    @cached_property
    def _there(self) -> set[Kind]:
        """What the records hold, by the first ones of each folder. Raises `UserError` if they are none."""
        found, _ = files.find_all(self._patterns)
        first = {posixpath.dirname(file.uri): file.uri for file in reversed(found)}
        return {kind for uri in first.values() for kind in _kinds(uri)}

    @cached_property
    def _measured(self) -> dict[str, Any]:
        """The columns under `measured`, with their types. Raises `UserError` for types that are none."""
        found, _ = files.find_all(self._patterns)
        folders = dict.fromkeys(posixpath.dirname(file.uri) for file in found)
        kinds: dict[str, Any] = {}
        for folder in folders:
            for place in (folder, posixpath.dirname(folder)):
                if files.stat(f"{place}/{TYPES}"):
                    kinds |= _types(f"{place}/{TYPES}")
                    break
        return kinds


def _kinds(uri: str) -> set[Kind]:
    """What the records of a tar hold. Only a box tells of checks, so it looks until there is one."""
    kinds: set[Kind] = set()
    record: Mapping[str, Any] = {}
    for record in islice(_records(uri), LOOKS_AT):
        kinds.update(kind for kind in COLUMNS if kind in record)
        boxes = record.get("boxes")
        if isinstance(boxes, list) and any(isinstance(box, dict) and "checks" in box for box in boxes):
            kinds.add("checks")
        if boxes or "boxes" not in record:
            break
    if "captions" not in record:
        raise UserError(f"{uri} holds no record that a run has written; read it as `type: webdataset`")
    return kinds


def _records(uri: str) -> Iterator[Mapping[str, Any]]:
    with files.open_binary(uri) as file:
        try:
            for sample in samples(file):
                if 0 < sample.record.size <= MAX_JSON:
                    record = json_object(sample.record.read(file))
                    if not isinstance(record, Reject):
                        yield record
        except BrokenArchive:
            return  # what came before is good; reading the part says what is wrong


def _key(name: str, prefix: str, key: str) -> str:
    """The key of a sample whose members are called `name`, which is not its key where that is long."""
    return safe_key(prefix + key) if name == safe_key(prefix + member_stem(key)) else name


def _types(place: str) -> dict[str, Any]:
    try:
        words = _WORDS.validate_json(files.read(place, MAX_JSON))
    except ValueError as error:
        raise UserError(f"{place} holds no types of columns; it is what `pipeline run` writes") from error
    kinds = {name: type_of(word) for name, word in words.items()}
    if unknown := [name for name, kind in kinds.items() if kind is object]:
        raise UserError(f"{place} gives {unknown[0]} a type that is not known; another version wrote it")
    return kinds


def measured_of(record: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The columns under `measured` of a record; null where it has none. Raises `ValueError` for another
    type."""
    values = json.loads(record.get("measured") or "{}")
    return {name: _adapter(kind).validate_python(values.get(name)) for name, kind in kinds.items()}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind | None)


def _row(text: str | Reject, kinds: Mapping[str, Any]) -> dict[str, Any] | Reject:
    """The columns that a sample's JSON member tells of."""
    if isinstance(text, Reject):
        return text
    try:
        record = json.loads(text)
        return columns_of(record) | measured_of(record, kinds)
    except (ValueError, TypeError, KeyError, AttributeError, ValidationError) as error:
        return Reject("bad_record", ascii(" ".join(str(error).split()))[1:-1][:200])


def columns_of(record: Mapping[str, Any]) -> dict[str, Any]:
    key, captions = record.get("key", "-"), record.get("captions", [])
    metadata = record.get("metadata", "{}")
    texts = captions if isinstance(captions, list) else [None]
    if not (key and all(isinstance(text, str) for text in [key, metadata, *texts])):
        raise ValueError("key, captions or metadata are none; is it the record of a run?")
    chunks = [Region.from_item(item) for item in record.get("noun_chunks", [])]
    expressions = [Region.from_item(item) for item in record.get("ref_exps", record.get("noun_chunks", []))]
    made = record.get("boxes", [])
    boxes = [
        GroundedBox(chunk.span, chunk.box, chunk.score, str(by["model"]), str(by["phrase"]))
        for chunk, by in zip(chunks, made, strict=True)
    ]
    return {
        "key": key,
        "captions": captions,
        "metadata": metadata,
        "boxes": boxes,
        "ref_exps": [expression.span for expression, _ in zip(expressions, boxes, strict=True)],
        "masks": _masks(record.get("masks"), boxes),
        "box_checks": _checks(made),
        "conversations": conversations.of_record(record),
    }


def _masks(items: Any, boxes: list[GroundedBox]) -> list[Mask] | None:
    """None for a record of a run that made none."""
    if items is None:
        return None
    return [Mask.from_item(item) for item, _ in zip(items, boxes, strict=True)]


def _checks(made: list[dict[str, Any]]) -> list[list[BoxCheck]] | None:
    """None for a record whose boxes nothing has checked."""
    if not any("checks" in by for by in made):
        return None
    checks = [_CHECKS.validate_python(by.get("checks", {}), strict=True) for by in made]
    return [[BoxCheck(name, passed, math.nan, math.nan) for name, passed in each.items()] for each in checks]

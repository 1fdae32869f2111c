"""`finished`: the shards of a finished run, with the boxes and conversations that it made.

source: {type: finished, shards: out/llava_instruct/data/*.tar, carry: [conversations]}
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.sources.base import Part
from pipeline.sources.webdataset import WebdatasetSource
from schemas import conversations
from schemas.columns import Columns, GroundedBox, Reject, Span
from schemas.conversations import Conversation
from schemas.records import Region
from schemas.replies import Provenance

COLUMNS: dict[str, dict[str, Any]] = {
    "boxes": {"boxes": list[GroundedBox], "ref_exps": list[Span]},
    "conversations": {"conversations": list[Conversation], "provenance": list[Provenance]},
}
"""What can be carried over, and the columns of each."""

_PROVENANCE = TypeAdapter(list[Provenance])


class FinishedSource(WebdatasetSource):
    """Reads what a run has written as the run had it; a tar is a part.

    Keys, image ids, captions and metadata are those of the run. Masks are not carried over: segment anew.
    """

    type: Literal["finished"] = "finished"  # type: ignore[assignment]
    carry: list[Literal["boxes", "conversations"]] = Field(default=["boxes", "conversations"], min_length=1)
    """What is taken over: `boxes` with their referring expressions, `conversations` with where they came
    from. Samples that have none get none."""

    def provides(self) -> dict[str, Any]:
        columns = super().provides()
        for kind in dict.fromkeys(self.carry):
            columns |= COLUMNS[kind]
        return columns

    def read(self, part: Part) -> Columns:
        columns = super().read(part)
        rows = [_row(metadata) for metadata in columns["metadata"]]
        for name in self.provides():
            if name not in ("key", "image_id", "image", "caption"):
                columns[name] = [row if isinstance(row, Reject) else row[name] for row in rows]
        return columns


def _row(text: str | Reject) -> dict[str, Any] | Reject:
    """The columns that a sample's JSON member tells of."""
    if isinstance(text, Reject):
        return text
    try:
        return _columns(json.loads(text))
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        return Reject("bad_record", ascii(" ".join(str(error).split()))[1:-1][:200])


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    captions, metadata = record.get("captions", []), record.get("metadata", "{}")
    texts = captions if isinstance(captions, list) else [None]
    if not all(isinstance(text, str) for text in [metadata, *texts]):
        raise ValueError("captions or metadata are none; is it the record of a run?")
    chunks = [Region.from_item(item) for item in record.get("noun_chunks", [])]
    made = record.get("boxes", [])
    boxes = [
        GroundedBox(chunk.span, chunk.box, chunk.score, str(by["model"]), str(by["phrase"]))
        for chunk, by in zip(chunks, made, strict=True)
    ]
    return {
        "captions": captions,
        "metadata": metadata,
        "boxes": boxes,
        "ref_exps": [Region.from_item(item).span for item in record.get("ref_exps", [])],
        "conversations": conversations.from_json(record.get("conversations", "[]")),
        "provenance": _provenance(record.get("provenance")),
    }


def _provenance(entries: Any) -> list[Provenance] | None:
    """None for a record whose conversations no language model wrote, which says nothing of it."""
    if entries is None:
        return None
    rows = [tuple(entry[field] for field in Provenance._fields) for entry in entries]
    return _PROVENANCE.validate_python(rows)

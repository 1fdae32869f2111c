"""Records that come from files: ours, GRIT's, or whatever somebody calls so."""

import json
from collections.abc import Mapping
from typing import Any

from gritmill.pipeline.convert.groundings import Groundings
from gritmill.pipeline.convert.reading import objects, size_of, texts
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable, make_sample
from gritmill.pipeline.storage.files import is_clean
from gritmill.schemas import conversations
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.records import FIELDS, to_json

RECORD_FIELDS = (*FIELDS, "annotations")
"""Everything that a record may say; what a foreign one says beyond them goes to its metadata."""


def from_record(
    raw: Mapping[str, Any], stem: str, where: ImageRef | None, losses: Losses, extension: str = ""
) -> Sample:
    """A record of ours or one of GRIT's, whoever wrote it -> a sample; what is malformed in it is lost.

    `stem` is its key if it says none, `extension` that of its image. Raises `Unusable` if it is no
    sample at all.
    """
    caption = raw.get("caption")
    key = raw["key"] if isinstance(raw.get("key"), str) and raw["key"] else stem
    if not isinstance(caption, str):
        raise Unusable("the caption is no text")
    found = Groundings(caption, key, losses)
    is_grounded = raw.get("noun_chunks") is not None
    if is_grounded:
        found.add_items(raw["noun_chunks"], raw.get("ref_exps"), raw.get("boxes"), raw.get("masks"))
    measured = _object(raw.get("measured"))
    labels = raw.get("annotations")
    for entry in objects(labels):
        found.add_label(entry.get("label"), entry.get("box"), entry.get("crowd"), entry.get("polygons"))
    sample = make_sample(
        key,
        caption,
        size_of(raw),
        where,
        name=_text(raw, "url"),
        extension=extension,
        image_id=_text(raw, "image_id"),
        split=_text(raw, "split") or "train",
        captions=texts(raw.get("captions")),
        # Parquet has what is measured in columns of their own as well.
        metadata=_object(raw.get("metadata"))
        | {name: raw[name] for name in raw if name not in {*RECORD_FIELDS, *measured}},
        boxes=found.boxes if is_grounded else None,
        ref_exps=found.expressions if is_grounded else None,
        masks=found.masks(),
        annotations=found.labels if isinstance(labels, list) else None,
        told=_conversations(raw, key, losses),
    )
    record = sample.record
    if measured:
        record["measured"] = to_json(measured).decode()
    if is_clean(image_format := _text(raw, "image_format")) and image_format:
        record["image_format"] = image_format
    match raw.get("source"):
        case {"uri": str(uri), "offset": int(offset), "length": int(length)} if (
            is_clean(uri) and 0 <= offset < 2**63 and 0 <= length < 2**63
        ):
            record["source"] = {"uri": uri, "offset": offset, "length": length}
    return sample


def _conversations(raw: Mapping[str, Any], key: str, losses: Losses) -> list[Conversation] | None:
    """Our `conversations`, a JSON string; None where the record has none."""
    value = raw.get("conversations")
    if not isinstance(value, str):
        return None
    try:
        told = conversations.from_json(value)
    except ValueError:
        losses.part(key, "conversations that are none")
        return None
    try:
        told = conversations.of_record(raw)
    except ValueError:
        losses.part(key, "a provenance that is none")
    kept = [each for each in told if not next(conversations.mistakes(each), None)]
    for _ in range(len(told) - len(kept)):
        losses.part(key, "a conversation that is none")
    return kept


def _object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""

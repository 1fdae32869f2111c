"""The members of a sample, as they lie in a shard, -> an example.

A record's first conversation is what is trained on (stages that make conversations write one). A record
without any, such as GRIT's own, becomes a grounded caption, or a plain one if it has no boxes.
"""

import json
from typing import Any

from PIL.Image import Image as PILImage

from gritmill.prompts import word_list
from gritmill.schemas import conversations, images
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Phrase, Turn
from gritmill.schemas.records import Record, Region
from gritmill.trainer.data.examples import Bad, Example

MAX_IMAGE = 256 * 2**20
MAX_RECORD = 16 * 2**20
"""Larger members, in bytes, are not read into memory."""


class BadSample(ValueError):
    """A sample that cannot be used; the message says why."""


def to_example(stem: str, image: bytes, record: bytes) -> Example | Bad:
    """A sample's members -> an example, or why there is none. No bytes stand for no member."""
    key = stem
    try:
        fields = to_record(record)
        key = key_of(fields, stem)
        conversation = to_conversation(fields)
        return Example(key, image_id_of(fields, key), to_image(image), conversation)
    except BadSample as error:
        return Bad(key, str(error))


def to_record(data: bytes) -> Record:
    """Raises `BadSample` for anything but a JSON object."""
    if not data:
        raise BadSample("record: there is none")
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadSample(f"record: {error}") from error
    if not isinstance(record, dict):
        raise BadSample(f"record: an object is expected, not {type(record).__name__}")
    return record


def to_image(data: bytes) -> PILImage:
    """An RGB image, upright. Raises `BadSample` for what is none."""
    if not data:
        raise BadSample("image: there is none")
    try:
        return images.decode(data)
    except Exception as error:  # hostile bytes get exceptions of all kinds out of Pillow's codecs
        raise BadSample(f"image: {error or type(error).__name__}") from error


def key_of(record: Record, stem: str) -> str:
    """The record's own; of foreign shards, what the members are called."""
    return _text(record.get("key")) or stem


def image_id_of(record: Record, key: str) -> str:
    """What all samples of an image share; the key if the record does not tell."""
    return _text(record.get("image_id")) or key


def boxes_of(record: Record) -> int:
    """How many boxes a record has."""
    return len(_regions(record)[1])


def to_conversation(record: Record) -> Conversation:
    """What is trained on, see the module. Raises `BadSample` for fields of another form."""
    told = record.get("conversations")
    if told is not None:
        try:
            found = conversations.from_json(told)
        except (ValueError, TypeError) as error:
            raise BadSample(f"conversations: {error}") from error
        if found:
            return found[0]
    caption = _text(record.get("caption"))
    if not caption or not caption.strip():
        raise BadSample("caption: there is none")
    text = conversations.shielded(caption)
    phrases = _phrases(record, caption)
    task = "grounded_caption" if phrases else "caption"
    question = conversations.with_image(word_list(f"tasks/{task}")[0], before=True)
    return Conversation(
        [Turn(HUMAN, task, question, [], []), Turn(ASSISTANT, task, text.strip(), [], phrases)]
    )


def _phrases(record: Record, caption: str) -> list[Phrase]:
    """Referring expressions, else noun chunks, by their place in the caption without blank margins."""
    margin, length = len(caption) - len(caption.lstrip()), len(caption.strip())
    name, items = _regions(record)
    found: dict[Span, list[Box]] = {}
    for item in items:
        try:
            region = Region.from_item(item)
        except ValueError as error:
            raise BadSample(f"{name}: {error}") from error
        start, end = (min(max(offset - margin, 0), length) for offset in region.span)
        found.setdefault(Span(start, end), []).append(region.box)
    return [Phrase(span, boxes) for span, boxes in sorted(found.items())]


def _regions(record: Record) -> tuple[str, list[Any]]:
    for name in ("ref_exps", "noun_chunks"):
        if isinstance(items := record.get(name), list):
            return name, items
    return "", []


def _text(value: object) -> str | None:
    """Text that can be written down, or a whole number as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return value

"""`llava`: LLaVA's json, conversations about images.

    [{"id": "000000033471", "image": "000000033471.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat colour is the bus?"},
        {"from": "gpt", "value": "The bus [0.123, 0.456, 0.789, 0.900] is white and red."}]}, ...]

Boxes in the text become numbers: they are taken to be of the whole image. The first answer is taken for
the caption. Files of LLaVA-1.5's mix give some boxes of the image padded to a square, which no field says.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gritmill.pipeline.convert.reading import (
    Images,
    image_folders,
    json_files,
    measured,
    objects,
    rest_of,
    split_of,
    text_of,
)
from gritmill.pipeline.convert.sample import Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import BySplit, Pictures, json_list
from gritmill.pipeline.output.llava import llava_entries, sayable
from gritmill.pipeline.storage.texts import read_json
from gritmill.schemas.boxes import Box
from gritmill.schemas.conversations import (
    ASSISTANT,
    HUMAN,
    Conversation,
    Turn,
    TurnRegion,
    mistakes,
    placeholder,
    shielded,
)
from gritmill.schemas.errors import UserError

LOSES = {
    "masks": "there are none",
    "caption": "not said; the first answer is taken for it",
    "captions": "not said",
    "noun_chunks": "only the conversations stay",
    "ref_exps": "only the conversations stay",
    "boxes": "only those of the conversations stay, as text of three decimals",
    "scores": "not said",
    "models": "not said",
    "phrases": "not said",
    "source": "where the image was taken from is not said",
    "image_id": "becomes the image's file name",
    "image_format": "told by the file's extension alone",
    "conversations": "each becomes a sample; tasks and the words of phrases are not said, square brackets "
    "that hold no box become round",
    "provenance": "there is none",
    "annotations": "boxes whose label is no part of the caption cannot be said",
}
_FIELDS = ("id", "image", "conversations", "metadata")
"""What metadata cannot be called beside them; such go into a field `metadata`."""

ROLES = {"human": HUMAN, "user": HUMAN, "gpt": ASSISTANT, "assistant": ASSISTANT}
_BOX = re.compile(
    r"\[([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?)\]"
)
_PLACEHOLDER = re.compile(r"<region:[0-9]{1,9}>")


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Each file is one JSON list, which is in memory as a whole."""
    for file in json_files(path):
        entries = read_json(file)
        if not isinstance(entries, list):
            raise UserError(f"{file} holds no list of conversations; give a file in LLaVA's format.")
        found = Images(image_folders(file, images))
        for number, entry in enumerate(entries):
            key = text_of(entry.get("id")) if isinstance(entry, dict) else ""
            try:
                yield _sample(entry, key or f"{number:08d}", split_of(file), found)
            except Unusable as error:
                losses.row(key or f"entry {number}", str(error))


def recognises(entry: dict[str, Any]) -> bool:
    """True if the first entry of a JSON list is one of this format."""
    return "conversations" in entry


def _sample(entry: object, key: str, split: str, images: Images) -> Sample:
    if not isinstance(entry, dict):
        raise Unusable("no JSON object")
    name = entry.get("image")
    if not isinstance(name, str):
        raise Unusable("several images" if isinstance(name, list) else "no image: text only")
    conversation = Conversation([_turn(turn) for turn in objects(entry.get("conversations"))])
    if next(mistakes(conversation), None):
        raise Unusable("no conversation of questions and answers in turn")
    where = images.find(name)
    answer = entry["conversations"][1]["value"]
    return make_sample(
        key,
        answer,
        measured(where),
        where,
        name=name,
        image_id=name,
        split=split,
        metadata=rest_of(entry, _FIELDS),
        told=[conversation],
    )


def _turn(turn: dict[str, Any]) -> Turn:
    role, text = ROLES.get(str(turn.get("from"))), turn.get("value")
    if role is None or not isinstance(text, str):
        raise Unusable("no conversation of questions and answers in turn")
    regions: list[TurnRegion] = []

    def keep(found: re.Match[str]) -> str:
        box = Box(*map(float, found.groups()))
        if not box.is_valid:
            return found[0]
        regions.append(TurnRegion([box]))
        return placeholder(len(regions) - 1)

    harmless = _PLACEHOLDER.sub(lambda found: shielded(found[0]), text)
    return Turn(role, "conversation", _BOX.sub(keep, harmless), regions, [])


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """A file for each split, written as it goes; returns how many samples had conversations."""
    written = 0
    pictures = Pictures(folder / "images", losses, copy_images)
    with BySplit(lambda split: json_list(folder / f"{split}.json")) as lists:
        for sample in samples:
            record = sample.record
            told = sample.conversations
            if not told:
                losses.row(
                    record["key"], "it has no conversations; a recipe with the stage `tasks` makes some"
                )
                continue
            metadata = json.loads(record["metadata"])
            extra = {name: value for name, value in metadata.items() if name not in _FIELDS}
            if hidden := {name: metadata[name] for name in _FIELDS if name in metadata}:
                extra["metadata"] = hidden
            for _ in range(len(told) - len(sayable(told))):
                losses.part(record["key"], "a conversation with roles or points that the format has not")
            size = max(record["width"], 1), max(record["height"], 1)  # unknown sizes change no 0..1 box
            for entry in llava_entries(record["key"], pictures.put(sample), size, told):
                lists[record["split"]](entry | extra)
            written += 1
    return written

"""`llava`: LLaVA's json, conversations about images.

    [{"id": "000000033471", "image": "000000033471.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat colour is the bus?"},
        {"from": "gpt", "value": "The bus [0.123, 0.456, 0.789, 0.900] is white and red."}]}, ...]

Boxes in the text become numbers: they are taken to be of the whole image. The first answer is taken for
the caption. Files of LLaVA-1.5's mix give some boxes of the image padded to a square, which no field says.
"""

import re
from collections.abc import Iterator
from typing import Any

from pipeline.convert.reading import (
    Images,
    first_file,
    image_folders,
    load_json,
    measured,
    objects,
    text_of,
)
from pipeline.convert.sample import Losses, Sample, Unusable, make_sample
from schemas.boxes import Box
from schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn, mistakes, placeholder, shielded
from schemas.errors import UserError

ROLES = {"human": HUMAN, "user": HUMAN, "gpt": ASSISTANT, "assistant": ASSISTANT}
_BOX = re.compile(
    r"\[([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?), ?([01](?:\.\d{1,9})?)\]"
)
_PLACEHOLDER = re.compile(r"<region:[0-9]{1,9}>")


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """One JSON list, which is in memory as a whole."""
    file = first_file(path, "train.json", "llava.json")
    if file is None:
        raise UserError(f"{path} has no JSON of LLaVA's; give the file itself.")
    entries = load_json(file)
    if not isinstance(entries, list):
        raise UserError(f"{file} holds no list of conversations; give a file in LLaVA's format.")
    found = Images(image_folders(file, images))
    for number, entry in enumerate(entries):
        key = text_of(entry.get("id")) if isinstance(entry, dict) else ""
        try:
            yield _sample(entry, key or f"{number:08d}", found)
        except Unusable as error:
            losses.row(key or f"entry {number}", str(error))


def recognises(entry: dict[str, Any]) -> bool:
    """True if the first entry of a JSON list is one of this format."""
    return "conversations" in entry


def _sample(entry: object, key: str, images: Images) -> Sample:
    if not isinstance(entry, dict):
        raise Unusable("no JSON object")
    name = entry.get("image")
    if not isinstance(name, str):
        raise Unusable("several images" if isinstance(name, list) else "no image: text only")
    conversation = Conversation([_turn(turn) for turn in objects(entry.get("conversations"))])
    if next(mistakes(conversation), None):
        raise Unusable("no conversation of questions and answers in turn")
    where = images.find(name)
    extra = {field: value for field, value in entry.items() if field not in ("id", "image", "conversations")}
    answer = entry["conversations"][1]["value"]
    return make_sample(
        key, answer, measured(where), where, name=name, image_id=name, metadata=extra, told=[conversation]
    )


def _turn(turn: dict[str, Any]) -> Turn:
    role, text = ROLES.get(str(turn.get("from"))), turn.get("value")
    if role is None or not isinstance(text, str):
        raise Unusable("no conversation of questions and answers in turn")
    regions: list[list[Box]] = []

    def keep(found: re.Match[str]) -> str:
        box = Box(*map(float, found.groups()))
        if not box.is_valid:
            return found[0]
        regions.append([box])
        return placeholder(len(regions) - 1)

    harmless = _PLACEHOLDER.sub(lambda found: shielded(found[0]), text)
    return Turn(role, "conversation", _BOX.sub(keep, harmless), regions, [])

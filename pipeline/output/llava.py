"""The json that LLaVA's and ShareGPT4V's own loaders read: conversations about images, one file a split.

    [{"id": "000000033471", "image": "000000033471.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat colour is the bus?"},
        {"from": "gpt", "value": "The bus is white and red."}]}, ...]

One entry for each conversation; those with turns of a system, of thoughts or of tools, with points or with a
second picture cannot be said in it and are left out. `image` is the member's name in the webdataset shards,
whatever the source was: after `tar xf` of those, the folder is the loaders' `image_folder`. Where a sample
is an image of COCO, that is also the name of COCO's own file, and the folder of the photographs does as
well. Boxes are written as LLaVA's data has them, `[0.123, 0.456, 0.789, 0.900]` of the whole image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from gritmill.pipeline.output.formats import Format
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, render
from gritmill.schemas.dialects import Size, text
from gritmill.schemas.records import to_json

SPEAKERS = {HUMAN: "human", ASSISTANT: "gpt"}


class LlavaWriter:
    """A shard's fragment: a line for each conversation."""

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._file = file
        self._extension = extension

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        stem = member_stem(sample["key"])
        size = sample["width"], sample["height"]
        for entry in llava_entries(stem, f"{stem}.{self._extension}", size, sample["conversations"]):
            self._file.write(to_json(entry) + b"\n")

    def close(self) -> None:
        """Nothing is left to write: a fragment has no end mark."""


def sayable(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Those that the format can say: of questions and answers alone, about one picture, without points."""
    return [
        conversation
        for conversation in conversations
        for turns in [conversation.turns]
        if all(turn.role in SPEAKERS for turn in turns)
        and not any(region.points or region.picture for turn in turns for region in turn.regions)
    ]


def llava_entries(
    id_: str, image: str, size: Size, conversations: Sequence[Conversation]
) -> Iterator[dict[str, Any]]:
    """The entry of each conversation about an image of `size` (width, height)."""
    for number, conversation in enumerate(sayable(conversations)):
        turns = render(conversation, text.LLAVA, size)
        yield {
            # No stem has a dot, so no other sample's id can be the same.
            "id": f"{id_}.{number}" if number else id_,
            "image": image,
            "conversations": [{"from": SPEAKERS[role], "value": said} for role, said in turns],
        }


def merge(fragments: Sequence[Callable[[], BinaryIO]], out: BinaryIO) -> None:
    """The fragments of a split, in order, each as a function that opens it -> the split's json."""
    between = b"[\n"
    for open_fragment in fragments:
        with open_fragment() as lines:
            for line in lines:
                out.write(between + line.rstrip(b"\n"))
                between = b",\n"
    out.write(b"\n]\n" if between == b",\n" else b"[]\n")


LLAVA = Format(LlavaWriter, "llava/{split}.json", reads=("conversations",), merge=merge)

"""Training conversations whose boxes are numbers, until a dialect spells them.

    human      <image>
               Where in the picture can the woman in the snow be seen?
    assistant  <region:0>                       regions=[TurnRegion([Box(0.34, 0.15, 0.52, 0.86)])]

`<region:0>` stands for `regions[0]` alone. Where boxes belong to words, the words stay as
they are and `phrases` says which they are, so that each dialect can mark them up in its own way.

    assistant  A woman in the snow.         phrases=[Phrase(Span(0, 19), [Box(0.34, 0.15, 0.52, 0.86)])]
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainValidator, TypeAdapter

from gritmill.schemas.boxes import Box, Point
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import Dialect, Size
from gritmill.schemas.masks import Mask

SYSTEM = "system"
HUMAN = "human"
THOUGHT = "thought"
ACTION = "action"
TOOL = "tool"
ASSISTANT = "assistant"

_FOLLOWS = {
    "": {SYSTEM, HUMAN},
    SYSTEM: {HUMAN},
    HUMAN: {THOUGHT, ACTION, ASSISTANT},
    THOUGHT: {ACTION, ASSISTANT},
    ACTION: {TOOL},
    TOOL: {THOUGHT, ACTION, ASSISTANT},
    ASSISTANT: {HUMAN},
}
"""Whose turn may come after whose; a conversation ends with an answer of the assistant's."""

UNKNOWN = "unknown"
"""Maker of a conversation that does not say it."""

NOWHERE = "none"
"""The answer that there is no such region, in dialects that have no empty list."""

IMAGE = "<image>"
"""Where the picture stands: once, at the beginning or end of a conversation's first turn."""

_PLACEHOLDER = re.compile(r"(<image>|<region:[0-9]{1,9}>)")
_HARMLESS = str.maketrans("<>", "()")


class TurnRegion(NamedTuple):
    """Where in a picture something is, as boxes, points or masks. None at all says that there is none.

    >>> TurnRegion([Box(0.34, 0.15, 0.52, 0.86)]), TurnRegion(points=[Point(0.43, 0.5)]), TurnRegion()
    """

    boxes: list[Box] = []
    points: list[Point] = []
    masks: list[Annotated[Mask, PlainValidator(Mask.from_item)]] = []
    picture: int = 0
    """Number of the picture among those of the sample."""

    @property
    def corners(self) -> list[Box]:
        """The boxes, and those around the masks."""
        return [*self.boxes, *(mask.box for mask in self.masks if mask.box)]

    def to_item(self) -> dict[str, Any]:
        """As JSON has it, without what is empty: `{"boxes": [[0.34, 0.15, 0.52, 0.86]]}`."""
        item = self._asdict() | {"masks": [mask.to_item() for mask in self.masks]}
        return {name: value for name, value in item.items() if value}


def _region(item: object) -> object:
    """Format 1 has a list of boxes in the place of a region."""
    return {"boxes": item} if isinstance(item, list) else item


class Phrase(NamedTuple):
    """Words of a turn and their boxes."""

    span: Span
    """Of the turn's text."""
    boxes: list[Box]


class Turn(NamedTuple):
    """What one side says. A turn has regions or phrases or neither.

    >>> region = TurnRegion([Box(0.34, 0.15, 0.52, 0.86)])
    >>> Turn("human", "reg", "<image>\\nWhat is shown in <region:0>?", [region], [])
    """

    role: str
    """`human` or `assistant`; `system` before the first question; between a question and its answer `thought`
    and `action`, with what the `tool` gave back."""
    task: str
    """What is asked or answered: `caption`, `rec`, ..."""
    text: str
    regions: list[Annotated[TurnRegion, BeforeValidator(_region)]]
    """What `<region:0>`, `<region:1>`, ... stand for."""
    phrases: list[Phrase]


class Provenance(NamedTuple):
    """Where a conversation came from: who made it and, by language model or by template, with what.

    >>> Provenance("parse_replies", "conversation", "openai", "gpt-4o-2024-11-20", "3f9a...", "b2c4...", 812,
    ...            143, "stop")
    >>> Provenance("tasks", "rec, reg", template="tasks/rec@5e0f..., tasks/reg@c81b...")
    """

    maker: str = UNKNOWN
    """Name of the stage in its recipe."""
    task: str = ""
    """What was asked for; of a conversation about several things, all."""
    backend: str = ""
    """Of the language model that wrote it, as in its `schemas.replies.Reply`; so are the next six."""
    model: str = ""
    prompt: str = ""
    request: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finish_reason: str = ""
    template: str = ""
    """Of one that was made from templates, their files, each with its digest."""
    rewritten_by: str = ""
    """Names of the stages that have rewritten it since, in their order."""


class Conversation(NamedTuple):
    """Questions and answers about one image, in turns."""

    turns: list[Turn]
    provenance: Provenance = Provenance()


_CONVERSATIONS = TypeAdapter(list[Conversation])
_BESIDE = TypeAdapter(list[Provenance])


def placeholder(number: int) -> str:
    """`placeholder(0) == "<region:0>"`."""
    return f"<region:{number}>"


def shielded(text: str) -> str:
    """Text of a caption that can be no placeholder nor any model's tag: angle brackets become round ones.

    Changes no offset.

    >>> shielded("an <image> of a dog </s>")
    'an (image) of a dog (/s)'
    """
    return text.translate(_HARMLESS)


def render(conversation: Conversation, dialect: Dialect, size: Size) -> list[tuple[str, str]]:
    """A conversation as (role, text) with its boxes spelled in a dialect; `<image>` stays.

    `size` is the image's (width, height) in pixels. A question goes with its answer and all between, or the
    other way round, where the dialect's picture has cropped away all boxes of a region or all of a caption's,
    so the result may be shorter, or empty. A mask is spelled as the box around it, and a region that is
    nowhere as the dialect's empty list, or "none". Raises `ValueError` for a conversation that is none (a
    question left without answer, a placeholder without region, a box that is none) and for what no dialect
    spells: points, and regions of a second picture.

    >>> render(conversation, DIALECTS["ferret"], (640, 426))
    [('human', '<image>\\nWhat is shown in [335, 148, 520, 855]?'), ('assistant', 'A woman in the snow.')]
    """
    before, exchanges = _exchanges(conversation.turns)
    kept: list[tuple[str, str]] = []
    for exchange in exchanges:
        spelled = [_spelled(turn, dialect, size) for turn in exchange]
        texts = [text for text in spelled if text is not None]
        if len(texts) < len(exchange):
            continue
        if not kept:
            kept = [(turn.role, turn.text.translate(dialect.shield)) for turn in before]
            if exchange is not exchanges[0]:
                texts[0] = _with_image_of(exchanges[0][0], texts[0])
        kept += zip((turn.role for turn in exchange), texts, strict=True)
    return kept


def _exchanges(turns: list[Turn]) -> tuple[list[Turn], list[list[Turn]]]:
    """What comes before the first question, and each question with all turns up to its answer."""
    starts = [i for i, turn in enumerate(turns) if turn.role == HUMAN]
    exchanges = [turns[start:end] for start, end in zip(starts, [*starts[1:], len(turns)], strict=True)]
    for exchange in exchanges:
        if exchange[-1].role != ASSISTANT:
            raise ValueError(f"{exchange[0].text!r} has no answer")
    return turns[: starts[0]] if starts else turns, exchanges


def with_image(text: str, before: bool) -> str:
    """A question with the image's placeholder on a line of its own, before or after it."""
    return f"{IMAGE}\n{text}" if before else f"{text}\n{IMAGE}"


def to_json(conversations: Iterable[Conversation]) -> str:
    """Compact JSON: `[{"turns":[{"role":"human","task":"reg","text":"...","regions":[],"phrases":[]},...],
    "provenance":{"maker":"tasks",...}}]`.

    A region is what it has, `{"boxes":[[0.34,0.15,0.52,0.86]]}`, and `{}` if it is nowhere. Boxes and spans
    are lists of numbers; a phrase is `{"span":[0,19],"boxes":[[0.34,0.15,0.52,0.86]]}`.
    """
    value = [
        {
            "turns": [_plain(turn) for turn in turns],
            "provenance": {name: said for name, said in provenance._asdict().items() if said},
        }
        for turns, provenance in conversations
    ]
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> list[Conversation]:
    """What `to_json` wrote. Raises `ValueError` for anything of another form."""
    return _CONVERSATIONS.validate_json(text)


def of_record(record: Mapping[str, Any]) -> list[Conversation]:
    """The conversations of a record, each with its provenance; none where it has no such field.

    Those of format 1 do not hold their provenance: it stands in the list `provenance` of the record where a
    language model wrote them, and nowhere else. Raises `ValueError` for fields of another form.
    """
    text = record.get("conversations")
    if text is None:
        text = "[]"
    if not isinstance(text, str):
        raise ValueError("conversations are one JSON string")
    found, beside = from_json(text), record.get("provenance")
    if not beside or any(each.provenance != Provenance() for each in found):
        return found
    told = _BESIDE.validate_python(beside)
    return [Conversation(each.turns, origin) for each, origin in zip(found, told, strict=True)]


def placeholders(text: str) -> set[int]:
    """Numbers of the regions that a text mentions: `{0}` for "What is shown in <region:0>?"."""
    found = _PLACEHOLDER.findall(text)
    return {int(piece[len("<region:") : -1]) for piece in found if piece != IMAGE}


def mistakes(conversation: Conversation) -> Iterator[str]:
    """What is wrong with a conversation, in words; nothing for one that `render` takes.

    >>> list(mistakes(Conversation([Turn("human", "rec", "Where is the dog?", [], [])])))
    ['the last question has no answer']
    """
    yield from form_mistakes(conversation)
    for i, turn in enumerate(conversation.turns):
        if lost := sorted(placeholders(turn.text) - set(range(len(turn.regions)))):
            yield f"turn {i}: {placeholder(lost[0])} is not among its {len(turn.regions)} regions"


def form_mistakes(conversation: Conversation) -> Iterator[str]:
    """Those of turns, phrases and boxes by themselves; whether text and regions match is not asked."""
    turns = conversation.turns
    if not turns:
        yield "no turns"
    elif turns[-1].role != ASSISTANT:
        yield "the last question has no answer"
    for i, turn in enumerate(turns):
        place = f"turn {i}"
        if turn.role not in _FOLLOWS.get(turns[i - 1].role if i else "", ()):
            yield f"{place} belongs to {turn.role!r}"
        if turn.regions and turn.phrases:
            yield f"{place} has regions and phrases"
        for (start, end), _ in turn.phrases:
            if not 0 <= start < end <= len(turn.text):
                yield f"{place}: phrase [{start}, {end}) of {len(turn.text)} characters"
        for region in turn.regions:
            if region.picture < 0:
                yield f"{place}: there is no picture {region.picture}"
            for point in region.points:
                if not all(0 <= v <= 1 for v in point):
                    yield f"{place}: {list(point)} is no point in 0..1"
        groups = [*(region.boxes for region in turn.regions), *(phrase.boxes for phrase in turn.phrases)]
        for box in chain(*groups):
            if not (box.is_valid and all(0 <= v <= 1 for v in box)):
                yield f"{place}: {list(box)} is no box in 0..1 with some area"


def _plain(turn: Turn) -> dict[str, object]:
    regions = [region.to_item() for region in turn.regions]
    return {**turn._asdict(), "regions": regions, "phrases": [phrase._asdict() for phrase in turn.phrases]}


def _spelled(turn: Turn, dialect: Dialect, size: Size) -> str | None:
    """None where nothing is left to be seen of boxes that the turn needs."""
    view = dialect.geometry.view(size)

    def is_seen(boxes: list[Box]) -> bool:
        return any(view.shown(box.clipped()) for box in boxes)

    if turn.phrases:
        if turn.regions:
            raise ValueError(f"a turn with phrases and regions: {turn.text!r}")
        if not is_seen([box for phrase in turn.phrases for box in phrase.boxes]):
            return None
        return dialect.encode_caption(turn.text, turn.phrases, size)
    if any(region.points or region.picture for region in turn.regions):
        raise ValueError("no dialect spells points or a second picture's regions")
    if not all(is_seen(region.corners) for region in turn.regions if region.corners):
        return None
    spelled = {
        placeholder(i): dialect.encode_boxes(region.corners, size) or NOWHERE
        for i, region in enumerate(turn.regions)
    }
    spelled[IMAGE] = IMAGE
    pieces = _PLACEHOLDER.split(turn.text)
    lost = [piece for piece in pieces[1::2] if piece not in spelled]
    if lost:
        raise ValueError(f"{lost[0]} is not among the {len(turn.regions)} regions of {turn.text!r}")
    return "".join(
        spelled[piece] if i % 2 else piece.translate(dialect.shield) for i, piece in enumerate(pieces)
    )


def _with_image_of(first: Turn, text: str) -> str:
    """The image moves to this question if the first one had it and is gone."""
    if IMAGE not in first.text:
        return text
    return with_image(text, before=first.text.startswith(IMAGE))

"""What every dialect can do, and what it says about a caption and its boxes."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects.geometry import STRETCH, Geometry, Size, View
from gritmill.schemas.dialects.numbers import Numbers


class Grounding(NamedTuple):
    """A phrase and its boxes, as a model wrote them.

    >>> Grounding(Span(12, 21), "a snowman", [Box(0.390625, 0.046875, 0.984375, 0.828125)])
    """

    span: Span | None
    """Into `Parsed.text`; None for boxes that belong to no words."""
    phrase: str
    boxes: list[Box]


class Parsed(NamedTuple):
    """A model's text, taken apart."""

    text: str
    """Without markup and outer white space; of a dialect that lists labels, the labels with ", " between."""
    groundings: list[Grounding]
    written: list[Box | None]
    """All boxes in the order in which they were written. None stands for one that was there but is none:
    inverted, without area, outside the image, no such cell."""

    @property
    def boxes(self) -> list[Box]:
        """The boxes of all groundings, in the order in which they were written."""
        return [box for box in self.written if box is not None]

    @property
    def unreadable(self) -> int:
        """How many boxes were there but are none."""
        return self.written.count(None)


Grounded = tuple[Span, Sequence[Box]]
"""A span of a caption and its boxes."""

Written = list[list[str]]
"""Boxes as the numbers that they are written with."""

_HARMLESS = [("<", "("), (">", ")"), ("[", "("), ("]", ")"), ("{", "("), ("}", ")"), (";", ",")]

_T = TypeVar("_T")
_TAG = re.compile(r"<[^<>]+>")


@dataclass(frozen=True, kw_only=True)
class Dialect(ABC):
    """How a family of models spells boxes: float boxes of the whole image <-> text.

    Text of a caption can never become markup: brackets that the dialect gives a meaning to are written
    as round ones and its semicolons as commas, which changes no offset.

    `parse` never raises for what a model wrote; it reads the boxes that are there. Coordinates beyond the
    image are clipped to it. Inverted corners are not put in order: public evaluations count them as a miss.
    """

    name: str
    numbers: Numbers
    source: str
    """Repository and file, or paper, that the spelling is taken from."""
    geometry: Geometry = STRETCH
    vocabulary: bool = False
    """The tags are tokens of the model's vocabulary, not text that its tokenizer takes apart."""
    shield: dict[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        markup = set("".join(self.literals()).replace("{}", ""))
        object.__setattr__(self, "shield", {ord(c): harmless for c, harmless in _HARMLESS if c in markup})

    def encode_boxes(self, boxes: Sequence[Box], size: Size) -> str:
        """Boxes alone, such as the answer to "where is the dog?".

        Boxes that the geometry crops away are left out. Raises `ValueError` for a box that is none.
        """
        return self._boxes(self._written(boxes, self.geometry.view(size)))

    def encode_caption(self, caption: str, grounded: Sequence[Grounded], size: Size) -> str:
        """A caption with the boxes of its spans.

        Boxes that the geometry crops away are left out, then spans without boxes, then overlaps
        (`without_overlaps`). Raises `ValueError` for a box that is none and a span that holds no words.
        """
        view = self.geometry.view(size)
        written = [(_trimmed(span, caption), self._written(boxes, view)) for span, boxes in grounded]
        kept = without_overlaps([(span, numbers) for span, numbers in written if numbers])
        return self._caption(caption.translate(self.shield), kept)

    @abstractmethod
    def parse(self, text: str, size: Size) -> Parsed:
        """What a model wrote -> caption, phrases and boxes of the whole image."""

    @abstractmethod
    def places(self, text: str) -> list[Span]:
        """Where in a model's text the boxes stand, one for each of `parse(text, ...).written`.

        "a green car<loc_52><loc_332><loc_932><loc_774>" -> [Span(11, 47)]
        """

    @abstractmethod
    def literals(self) -> list[str]:
        """All markup, with `{}` where numbers go."""

    def tokens(self) -> list[str]:
        """Every token that markup is made of, for a tokenizer that lacks them; empty if it is plain text."""
        if not self.vocabulary:
            return []
        tags = dict.fromkeys(tag for literal in self.literals() for tag in _TAG.findall(literal))
        numbers = self.numbers.all() if any("{}" in tag for tag in tags) else []
        plain = [tag for tag in tags if "{}" not in tag]
        return plain + [tag.replace("{}", n) for tag in tags if "{}" in tag for n in numbers]

    @abstractmethod
    def _boxes(self, boxes: Written) -> str: ...

    @abstractmethod
    def _caption(self, caption: str, grounded: list[tuple[Span, Written]]) -> str: ...

    def _written(self, boxes: Sequence[Box], view: View) -> Written:
        for box in boxes:
            if not box.clipped().is_valid:
                raise ValueError(f"{box} is not a box in 0..1 with some area")
        shown = (view.shown(box.clipped()) for box in boxes)
        return [self.numbers.write(box, view) for box in shown if box is not None]

    def _read(self, numbers: Sequence[str], view: View) -> Box | None:
        box = self.numbers.read([float(n) for n in numbers], view)
        restored = view.restored(box) if box is not None else None
        return restored if restored is not None and restored.is_valid else None


def without_overlaps(grounded: Sequence[tuple[Span, Sequence[_T]]]) -> list[tuple[Span, list[_T]]]:
    """The spans that markup can hold side by side, in order.

    Equal spans become one with the boxes of all. A span within another goes (Kosmos-2's loader: the
    referring expression stays, the noun chunk in it does not); of two that cross, the later one goes.
    """
    merged: dict[Span, list[_T]] = {}
    for span, boxes in grounded:
        merged.setdefault(span, []).extend(boxes)
    kept: list[tuple[Span, list[_T]]] = []
    for span in sorted(merged, key=lambda s: (s.start, -s.end)):
        if not kept or kept[-1][0].end <= span.start:
            kept.append((span, merged[span]))
    return kept


def _trimmed(span: Span, caption: str) -> Span:
    """Without white space at its ends, where no dialect could tell it from its own."""
    words = span.of(caption)
    if not (0 <= span.start < span.end <= len(caption) and words.strip()):
        raise ValueError(f"{span} holds no words of {caption!r}")
    return Span(span.start + len(words) - len(words.lstrip()), span.end - len(words) + len(words.rstrip()))


def listed(entries: Iterable[tuple[str, Sequence[Box | None]]]) -> Parsed:
    """Labels with boxes, of a dialect that has no caption around them; equal neighbours become one.

    [("dog", [a]), ("dog", [b]), ("cat", [c, None])] -> "dog, cat" and its two groundings
    """
    text = ""
    groundings: list[Grounding] = []
    written: list[Box | None] = []
    for label, found in entries:
        label = " ".join(label.split())
        written += found
        boxes = [box for box in found if box is not None]
        if not boxes:
            continue
        if groundings and groundings[-1].phrase == label:
            groundings[-1].boxes.extend(boxes)
            continue
        span = None
        if label:
            text += ", " if text else ""
            span = Span(len(text), len(text) + len(label))
            text += label
        groundings.append(Grounding(span, label, boxes))
    return Parsed(text, groundings, written)

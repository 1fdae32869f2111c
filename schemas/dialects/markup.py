"""Dialects that write boxes into the running text, behind their phrase."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects.base import Dialect, Grounding, Parsed, Written, listed
from gritmill.schemas.dialects.geometry import Size, View
from gritmill.schemas.dialects.templates import CUT_LIST, CUT_TAG, TAG, box_pattern, fill, literal_pattern

_SENTENCE_END = re.compile(r"[.!?]\s|\n")


@dataclass(frozen=True, kw_only=True)
class Markup(Dialect):
    """Phrase, then boxes: `<phrase>a dog</phrase><object><patch_index_0044><patch_index_0863></object>`.

    A dialect without tags around phrases (`a dog [445, 208, 591, 250]`) does not say where a phrase begins.
    There, `parse` gives everything since the sentence or the previous box; only the span's end is exact.
    """

    box: str
    """One box, `{}` for each number."""
    phrase: tuple[str, str] = ("", "")
    """Around the words."""
    group: tuple[str, str] = ("", "")
    """Around all boxes of a phrase."""
    between: str = ""
    """Between two boxes of a phrase."""
    gap: str = ""
    """Between a phrase and its boxes."""
    prefix: str = ""
    """Before a caption."""
    phrases_only: bool = False
    """Of a caption only the phrases are written, one after the other."""
    opened: bool = False
    """A box counts only behind `group[0]` or `between`: without them its text could be any numbers."""
    smallest_first: bool = False
    """The boxes of a phrase are sorted by area."""

    def literals(self) -> list[str]:
        return [self.prefix, *self.phrase, *self.group, self.between, self.box]

    def parse(self, text: str, size: Size) -> Parsed:
        view = self.geometry.view(size)
        reader = _Reader(bool(self.phrase[0]), self.between.strip())
        pieces = [*self._pieces(text), _Piece("end", "")]
        for piece, following in pairwise(pieces):
            if piece.kind == "text":
                reader.text(piece.text, before_box=following.kind == "box")
            elif piece.kind == "open":
                reader.open()
            elif piece.kind == "close":
                reader.close()
            elif piece.kind == "box":
                reader.box(self._read(piece.numbers, view))
        return reader.labels() if self.phrases_only else reader.caption()

    def places(self, text: str) -> list[Span]:
        return [Span(*match.span()) for match in self._pattern.finditer(text) if match.lastgroup == "box"]

    def _boxes(self, boxes: Written) -> str:
        if not boxes:
            return ""
        return self.group[0] + self.between.join(fill(self.box, box) for box in boxes) + self.group[1]

    def _caption(self, caption: str, grounded: list[tuple[Span, Written]]) -> str:
        pieces, at = [self.prefix], 0
        for span, boxes in grounded:
            before = "" if self.phrases_only else caption[at : span.start]
            pieces += [before, self.phrase[0], span.of(caption), self.phrase[1]]
            pieces += [self.gap, self._boxes(boxes)]
            at = span.end
        return "".join(pieces) + ("" if self.phrases_only else caption[at:])

    def _pieces(self, text: str) -> "Iterator[_Piece]":
        at = 0
        for match in self._pattern.finditer(text):
            if match.start() > at:
                yield _Piece("text", text[at : match.start()])
            yield _Piece(
                match.lastgroup or "tag", match.group(), match.groups()[1 : 1 + self.numbers.per_box]
            )
            at = match.end()
        if at < len(text):
            yield _Piece("text", text[at:])

    def _written(self, boxes: Sequence[Box], view: View) -> Written:
        return super()._written(sorted(boxes, key=_area) if self.smallest_first else boxes, view)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """A box with what belongs to its group, a phrase's tags, or other markup, whichever comes first."""
        lead = [
            literal_pattern(text) for text in (self.group[0], self.between) if self.opened or text[:1] == "<"
        ]
        opening = rf"(?:(?:{'|'.join(lead)})\s*+){'' if self.opened else '?'}" if lead else ""
        closing = rf"(?:\s*+{literal_pattern(self.group[1])})?" if self.group[1] else ""
        kinds = [f"(?P<box>{opening}{box_pattern(self.box)}{closing})"]
        if self.phrase[0]:
            kinds += [f"(?P<open>{re.escape(self.phrase[0])})", f"(?P<close>{re.escape(self.phrase[1])})"]
        if any("<" in literal for literal in self.literals()):
            kinds += [TAG, CUT_TAG]
        if any("[" in literal for literal in self.literals()):
            kinds += [CUT_LIST]
        return re.compile("|".join(kinds))


class _Piece(NamedTuple):
    kind: str
    """text, box, open, close, tag, end"""
    text: str
    numbers: tuple[str, ...] = ()


class _Reader:
    """Puts the pieces of a model's text together again."""

    def __init__(self, tagged: bool, between: str) -> None:
        self._tagged = tagged
        self._glue = ("", between)
        self._chunks: list[str] = []
        self._length = 0
        self._opened: int | None = None
        """Where the phrase began whose tag is open."""
        self._phrase: Span | None = None
        """The phrase that the next boxes belong to."""
        self._clause = 0
        """Where a phrase without tags may begin: behind the last box."""
        self._boxes: list[Box | None] | None = None
        """Boxes of the current group, as long as nothing but glue follows; None is an unreadable one."""
        self._groups: list[tuple[Span | None, list[Box | None]]] = []

    def text(self, text: str, before_box: bool) -> None:
        if before_box and self._opened is None:
            if text.strip() in self._glue and (self._boxes is not None or self._phrase):
                return
            text = text.rstrip()
        if text.strip():
            self._boxes = self._phrase = None
        self._chunks.append(text)
        self._length += len(text)

    def open(self) -> None:
        self._opened = self._length
        self._boxes = self._phrase = None

    def close(self) -> None:
        if self._opened is not None:
            self._phrase, self._opened = Span(self._opened, self._length), None

    def box(self, box: Box | None) -> None:
        self.close()  # models forget the tag
        if self._boxes is None:
            self._boxes = []
            self._groups.append(
                (self._phrase if self._tagged else Span(self._clause, self._length), self._boxes)
            )
        self._clause = self._length
        self._boxes.append(box)

    def caption(self) -> Parsed:
        text = "".join(self._chunks)
        stripped = len(text) - len(text.lstrip())
        groundings = []
        written: list[Box | None] = []
        for span, found in self._groups:
            written += found
            if boxes := [box for box in found if box is not None]:
                narrow = _narrowed(span, text, self._tagged) if span else None
                moved = Span(narrow.start - stripped, narrow.end - stripped) if narrow else None
                groundings.append(Grounding(moved, narrow.of(text) if narrow else "", boxes))
        return Parsed(text.strip(), groundings, written)

    def labels(self) -> Parsed:
        text = "".join(self._chunks)
        return listed((span.of(text) if span else "", boxes) for span, boxes in self._groups)


def _narrowed(span: Span, text: str, tagged: bool) -> Span | None:
    """Without white space at the ends; untagged also without what belongs to an earlier sentence."""
    words, start = span.of(text), span.start
    if not tagged:
        for match in _SENTENCE_END.finditer(words.rstrip()):
            start = span.start + match.end()
        words = text[start : span.end]
    first = words.lstrip() if tagged else words.lstrip(" \t\r\n.,;:!?")
    start += len(words) - len(first)
    end = start + len(first.rstrip())
    return Span(start, end) if end > start else None


def _area(box: Box) -> float:
    return box.area

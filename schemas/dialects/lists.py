"""Dialects that list labels with their boxes, instead of writing boxes into a caption."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gritmill.schemas.columns import Span
from gritmill.schemas.dialects.base import Dialect, Parsed, Written, listed
from gritmill.schemas.dialects.geometry import Size
from gritmill.schemas.dialects.templates import CUT_LIST, CUT_TAG, TAG, box_pattern, fill


@dataclass(frozen=True, kw_only=True)
class Listing(Dialect):
    """One label and one box an entry: `tie: [0.574, 0.298, 0.752, 0.704]`."""

    box: str
    """One box, `{}` for each number."""
    entry: str
    """`{label}` and `{box}`."""
    separator: str
    """Between two entries; white space in labels becomes single blanks."""

    def literals(self) -> list[str]:
        return [self.box, self.separator]

    def parse(self, text: str, size: Size) -> Parsed:
        view = self.geometry.view(size)
        entries = []
        for line in self._entries(text):
            boxes = [self._read(found, view) for found in self._box.findall(line)]
            label = self._markup.sub("", self._box.sub("", line)).strip(" \t\r\n:,")
            entries.append((label, boxes))
        return listed(entries)

    def places(self, text: str) -> list[Span]:
        found, start = [], 0
        for line in self._entries(text):
            spans = (match.span() for match in self._box.finditer(line))
            found += [Span(start + first, start + last) for first, last in spans]
            start += len(line) + len(self._cut)
        return found

    def _entries(self, text: str) -> list[str]:
        return text.split(self._cut)

    @property
    def _cut(self) -> str:
        return self.separator.strip() or self.separator

    def _boxes(self, boxes: Written) -> str:
        return self.separator.join(fill(self.box, box) for box in boxes)

    def _caption(self, caption: str, grounded: list[tuple[Span, Written]]) -> str:
        return self.separator.join(
            self.entry.format(label=" ".join(span.of(caption).split()), box=fill(self.box, box))
            for span, boxes in grounded
            for box in boxes
        )

    @cached_property
    def _box(self) -> re.Pattern[str]:
        return re.compile(box_pattern(self.box))

    @cached_property
    def _markup(self) -> re.Pattern[str]:
        return re.compile("|".join([TAG, CUT_TAG] if "<" in self.box else [CUT_LIST]))


@dataclass(frozen=True, kw_only=True)
class JsonList(Dialect):
    """A JSON list: `[{"bbox_2d": [x1, y1, x2, y2], "label": "a dog"}]`.

    Read with regular expressions, not with a JSON parser: a list that ends in the middle still holds whole
    boxes, and nesting of any depth costs nothing. Bare lists of four numbers are read as well.
    """

    key: str = "bbox_2d"

    def literals(self) -> list[str]:
        return []  # JSON quotes its strings: no label can end one

    def parse(self, text: str, size: Size) -> Parsed:
        view = self.geometry.view(size)
        objects = self._objects(text)
        return listed((label, [self._read(numbers, view) for numbers in found]) for label, found in objects)

    def places(self, text: str) -> list[Span]:
        return [Span(*match.span()) for match in _JSON.finditer(text) if match[1] is not None]

    def _boxes(self, boxes: Written) -> str:
        return _list(f'{{"{self.key}": {_numbers(box)}}}' for box in boxes)

    def _caption(self, caption: str, grounded: list[tuple[Span, Written]]) -> str:
        return _list(
            f'{{"{self.key}": {_numbers(box)}, "label": {json.dumps(span.of(caption), ensure_ascii=False)}}}'
            for span, boxes in grounded
            for box in boxes
        )

    def _objects(self, text: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
        """Label and boxes of each object, and of the one that the text ends in."""
        label, boxes = "", list[tuple[str, ...]]()
        for match in _JSON.finditer(text):
            if match["end"]:
                yield label, boxes
                label, boxes = "", []
            elif match["label"] is not None:
                label = _unquoted(match["label"])
            else:
                boxes.append(match.groups()[:4])
        yield label, boxes


_JSON = re.compile(
    box_pattern("[{},{},{},{}]") + r'|"label"\s*+:\s*+"(?P<label>[^"\\]*+(?:\\.[^"\\]*+)*+)|(?P<end>\})',
    re.DOTALL,
)


def _list(objects: Iterator[str]) -> str:
    return f"[{', '.join(objects)}]"


def _numbers(box: list[str]) -> str:
    return f"[{', '.join(box)}]"


def _unquoted(text: str) -> str:
    """A JSON string's content; as it stands if its escapes are none. Half surrogate pairs become "?"."""
    try:
        value = json.loads(f'"{text}"', strict=False)
    except ValueError:
        value = text
    return str(value).encode("utf-8", "replace").decode("utf-8")

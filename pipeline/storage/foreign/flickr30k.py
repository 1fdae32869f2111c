"""Sentences and boxes of Flickr30k Entities, as https://github.com/BryanPlummer/flickr30k_entities has them.

    Sentences/36979.txt     [/EN#42550/people A group of friends] are sitting on [/EN#42555/other a couch] .
    Annotations/36979.xml   <annotation><filename>36979.jpg</filename><size>...</size>
                            <object><name>42550</name><bndbox><xmin>1</xmin>...</bndbox></object></annotation>

A phrase and a box belong together by the number of an entity. Corners in the XML count pixels from 1 and are
inside the box, so that the box reaches from xmin - 1 to xmax.
"""

import re
from typing import NamedTuple
from xml.etree import ElementTree

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span

MAX_FILE = 2**20
"""Largest file of an image that is read, in bytes."""

_MARK = re.compile(r"\[/EN#(\d{1,18})((?:/[^\s/\[\]]+)*)\s+([^\[\]]*?)\s*\]")
_LARGEST = 1e7
"""Beyond any image, in pixels."""


class Marked(NamedTuple):
    """A phrase of a sentence.

    >>> parse_sentence("[/EN#1/people A man] sits .")
    ('A man sits .', [Marked(span=Span(start=0, end=5), entity='1', types=['people'])])
    """

    span: Span
    entity: str
    types: list[str]


def parse_sentence(line: str) -> tuple[str, list[Marked]]:
    """A line of a sentence file -> the sentence without marks, and what they say."""
    pieces: list[str] = []
    phrases: list[Marked] = []
    length = end = 0
    for mark in _MARK.finditer(line):
        before, words = line[end : mark.start()], mark[3]
        start = length + len(before)
        pieces += (before, words)
        length, end = start + len(words), mark.end()
        if words:
            phrases.append(Marked(Span(start, length), mark[1], mark[2].split("/")[1:]))
    return "".join([*pieces, line[end:]]), phrases


class ImageAnnotation(NamedTuple):
    """What the XML of an image says."""

    size: tuple[int, int]
    """(width, height) in pixels."""
    boxes: dict[str, list[Box | None]]
    """Those of each entity, in 0..1 and not clipped; None for corners that are no numbers."""
    unboxed: set[str]
    """Entities that are not to be seen, or are the scene itself."""


def parse_annotation(xml: str) -> ImageAnnotation:
    """The XML of an image. Raises `ValueError` for anything else.

    No entity of XML is ever expanded: a document type is refused.
    """
    # Nothing that Flickr30k writes needs either, and entities can grow a small file without end.
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise ValueError("XML with a document type")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  without a document type there is nothing to expand
    except ElementTree.ParseError as error:
        raise ValueError("no XML of its boxes" if not xml else "XML that cannot be read") from error
    width, height = (_number(root, f"size/{name}") or 0 for name in ("width", "height"))
    if min(width, height) < 1:
        raise ValueError("XML without the image's size")
    annotation = ImageAnnotation((int(width), int(height)), {}, set())
    for found in root.iter("object"):
        for entity in (name.text.strip() for name in found.findall("name") if name.text):
            if found.find("bndbox") is None:
                annotation.unboxed.add(entity)
            else:
                annotation.boxes.setdefault(entity, []).append(_box(found, annotation.size))
    return annotation


def _box(element: ElementTree.Element, size: tuple[int, int]) -> Box | None:
    match [_number(element, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")]:
        case [float(x1), float(y1), float(x2), float(y2)]:
            return Box.from_pixels(x1 - 1, y1 - 1, x2, y2, *size)
    return None


def _number(element: ElementTree.Element, path: str) -> float | None:
    try:
        value = float(element.findtext(path) or "")
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None

"""Flickr30k Entities (BryanPlummer/flickr30k_entities): a folder of sentences, boxes and splits.

    val.txt                       ids of the images of the split `val`, one a line
    Sentences/1007129816.txt      [/EN#1/people The man] wears [/EN#2/clothing an orange hat] .
    Annotations/1007129816.xml    <object><name>2</name><bndbox><xmin>..</xmin>...</bndbox></object>

Each phrase whose entity has boxes is a question, each time that it occurs: 14,433 in `val`, 14,481 in `test`.
Both `any_box` and `merged_box` come from the same questions, with all boxes of the entity for truth.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from schemas.boxes import Box
from schemas.columns import Span
from schemas.errors import UserError
from trainer.metrics import Question
from trainer.models.base import Asked
from trainer.sets import files
from trainer.sets.base import Ask, QuestionSet
from trainer.sets.splits import phrase_words

MAX_FILE = 2**20
"""Largest file of an image, in bytes."""

_PHRASE = re.compile(r"\[/EN#(?P<entity>[^/\s\]]+)[^\s\]]*\s+(?P<words>[^\]\[]+)\]")


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """Phrase grounding of a split, and captions if they are among `also`."""
    folder, photos = Path(path), files.Images(images)
    listed = folder / f"{split or 'test'}.txt"
    ids = files.text(listed).split()
    if bad := [id_ for id_ in ids if not id_.isalnum()]:
        raise UserError(
            f"{listed} lists {bad[0]!r}, which is no id of an image. Give the split as published."
        )
    phrases: list[Ask] = []
    captions: list[Ask] = []
    for id_ in ids:
        place = str(folder / "Sentences" / f"{id_}.txt")
        loader = photos.loader(f"{id_}.jpg", place)
        boxes = _boxes(folder / "Annotations" / f"{id_}.xml")
        sentences = list(_sentences(Path(place)))
        for number, sentence in enumerate(sentences):
            for order, (span, entity) in enumerate(sentence.phrases):
                if entity in boxes:
                    question = Question(f"{name}/{id_}/{number}/{order}", id_, boxes[entity])
                    asked = Asked("phrase_grounding", phrase_words(sentence.text, span), [])
                    phrases.append(Ask(question, asked, loader))
        texts = [sentence.text for sentence in sentences]
        captions.append(Ask(Question(f"{name}/{id_}", id_, texts), Asked("caption", {}, []), loader))
    sets = [QuestionSet(name, "phrase_grounding", phrases)]
    return [*sets, QuestionSet(name, "caption", captions)] if "caption" in also else sets


class _Sentence(NamedTuple):
    text: str
    phrases: list[tuple[Span, str]]
    """With the id of the entity."""


def _sentences(path: Path) -> Iterator[_Sentence]:
    lines = [line for line in files.text(path, MAX_FILE).split("\n") if line.strip()]
    if not lines:
        raise UserError(f"{path} has no sentences. Give the folder as it was published.")
    for number, line in enumerate(lines, 1):
        yield _sentence(line, f"{path}, line {number}")


def _sentence(line: str, place: str) -> _Sentence:
    text, phrases, at = "", [], 0
    line = files.clean(line, place)
    for found in _PHRASE.finditer(line):
        text += line[at : found.start()]
        start = len(text)
        text += found["words"].strip()
        phrases.append((Span(start, len(text)), found["entity"]))
        at = found.end()
    return _Sentence(text + line[at:], phrases)


def _boxes(path: Path) -> dict[str, list[Box]]:
    """Entity -> its boxes."""
    told = files.text(path, MAX_FILE)
    # Nothing that Flickr30k writes needs either, and entities can grow a small file without end.
    if "<!DOCTYPE" in told or "<!ENTITY" in told:
        raise UserError(f"{path} declares a document type, which these files have not. Give it as published.")
    try:
        root = ElementTree.fromstring(told)  # noqa: S314 (no document type, so no entities)
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{path} is no XML: {error}. Give the file as it was published.") from error
    size = root.find("size")
    width, height = files.size(_texts(size), str(path))
    boxes: dict[str, list[Box]] = {}
    for entry in root.findall("object"):
        corners = entry.find("bndbox")
        if corners is None:
            continue
        told_corners = _texts(corners)
        x1, y1, x2, y2 = (
            files.number(told_corners, side, str(path)) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        for name in entry.findall("name"):
            box = Box.from_pixels(x1, y1, x2, y2, width, height)
            boxes.setdefault((name.text or "").strip(), []).append(box)
    return boxes


def _texts(element: ElementTree.Element | None) -> dict[str, str | None]:
    return {} if element is None else {child.tag: child.text for child in element}

"""Flickr30k Entities (BryanPlummer/flickr30k_entities): a folder of sentences, boxes and splits.

    val.txt                  ids of the images of the split `val`, one a line
    Sentences/36979.txt      its sentences, as in `schemas.flickr30k`
    Annotations/36979.xml    its boxes

Each phrase whose entity has boxes is a question, each time that it occurs: 14,433 in `val`, 14,481 in `test`.
Both `any_box` and `merged_box` come from the same questions, with all boxes of the entity for truth.
"""

from collections.abc import Iterator
from pathlib import Path

from gritmill.pipeline.storage.foreign.flickr30k import MAX_FILE, Marked, parse_annotation, parse_sentence
from gritmill.pipeline.storage.texts import read_text
from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet
from gritmill.trainer.sets.splits import phrase_words


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """Phrase grounding of a split, and captions if they are among `also`."""
    folder, photos = Path(path), files.ImageFolder(images)
    listed = folder / f"{split or 'test'}.txt"
    ids = read_text(str(listed)).split()
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
        for number, (text, marked) in enumerate(sentences):
            for order, phrase in enumerate(marked):
                if phrase.entity in boxes:
                    question = Question(f"{name}/{id_}/{number}/{order}", id_, boxes[phrase.entity])
                    asked = Prompt("phrase_grounding", phrase_words(text, phrase.span), [])
                    phrases.append(Ask(question, asked, loader))
        texts = [text for text, _ in sentences]
        captions.append(Ask(Question(f"{name}/{id_}", id_, texts), Prompt("caption", {}, []), loader))
    sets = [QuestionSet(name, "phrase_grounding", phrases)]
    return [*sets, QuestionSet(name, "caption", captions)] if "caption" in also else sets


def _sentences(path: Path) -> Iterator[tuple[str, list[Marked]]]:
    """Each sentence, and its phrases."""
    lines = [line for line in read_text(str(path), MAX_FILE).split("\n") if line.strip()]
    if not lines:
        raise UserError(f"{path} has no sentences. Give the folder as it was published.")
    for number, line in enumerate(lines, 1):
        yield parse_sentence(files.clean(line, f"{path}, line {number}"))


def _boxes(path: Path) -> dict[str, list[Box]]:
    """Entity -> its boxes."""
    try:
        told = parse_annotation(read_text(str(path), MAX_FILE)).boxes
    except ValueError as error:
        raise UserError(f"{path} is {error}. Give the file as it was published.") from error
    boxes: dict[str, list[Box]] = {}
    for entity, found in told.items():
        boxes[entity] = [box for box in found if box is not None]
        if len(boxes[entity]) < len(found):
            raise UserError(f"{path} has a box of {entity!r} that is no numbers. Give it as published.")
    return boxes

"""MDETR's annotations (ashkamath/mdetr): COCO's JSON with a caption for each of its images.

finetune_refcoco_val.json, an expression an image:

    {"images": [{"id": 0, "file_name": "COCO_train2014_000000581857.jpg", "width": 640, "height": 427,
                 "caption": "the lady with the blue shirt", "dataset_name": "refcoco"}],
     "annotations": [{"image_id": 0, "bbox": [103.93, 299.99, 134.22, 177.42], "original_id": 1719310}]}

final_flickr_separateGT_val.json, a sentence an image: `tokens_positive_eval`, [[[start, end]], ...], lists
the phrases that are asked, and a box belongs to those that its `tokens_positive`, [[start, end], ...], names.
In final_flickr_mergedGT_*.json the boxes of a phrase are merged to one, so only `merged_box` can be scored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet
from gritmill.trainer.sets.splits import expression_words, phrase_words


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """Phrase grounding of Flickr30k's form; of RefCOCO's, `rec`, and `reg` if it is among `also`."""
    if split is not None:
        raise UserError(f"A file in MDETR's form is one split: leave `split` of the set {name} out.")
    annotations = Annotations(Path(path), files.ImageFolder(images))
    if annotations.is_flickr:
        asks = list(annotations.phrases(name))
        return [QuestionSet(name, "phrase_grounding", asks, merged="mergedGT" in Path(path).name)]
    sets = [QuestionSet(name, "rec", list(annotations.expressions(name)))]
    if "reg" in also:
        sets.append(QuestionSet(name, "reg", list(annotations.objects(name))))
    return sets


class Annotations:
    """A file in MDETR's form."""

    def __init__(self, path: Path, images: files.ImageFolder) -> None:
        told = files.json_object(path, "images", "annotations")
        self.path, self._images, self._entries = path, images, told["images"]
        self._annotations: dict[int | str, list[tuple[str, files.Row]]] = {}
        for number, entry in enumerate(told["annotations"]):
            place = f"{path}, annotation {number}"
            image = files.identifier(entry, "image_id", place)
            self._annotations.setdefault(image, []).append((place, entry))
        if not self._entries:
            raise UserError(f"{path} has no images. Check which file `questions` names.")
        self.is_flickr = "tokens_positive_eval" in self._entries[0]

    def expressions(self, name: str) -> Iterator[Ask]:
        """A question for each image, in their order."""
        for number, place, entry, box, _ in self._referred():
            asked = Prompt("rec", expression_words(files.words(entry, "caption", place)), [])
            yield self._ask(f"{name}/{number}", entry, place, box, asked)

    def objects(self, name: str) -> Iterator[Ask]:
        """A question for each object, with all its expressions."""
        found: dict[object, tuple[files.Row, str, Box, list[str]]] = {}
        for number, place, entry, box, annotation in self._referred():
            key = (entry.get("file_name"), annotation.get("original_id", number))
            expressions = found.setdefault(key, (entry, place, box, []))[3]
            expressions.append(files.words(entry, "caption", place))
        for number, (entry, place, box, expressions) in enumerate(found.values()):
            if box.clipped().is_valid:
                yield self._ask(f"{name}/reg/{number}", entry, place, expressions, Prompt("reg", {}, [box]))

    def phrases(self, name: str) -> Iterator[Ask]:
        """A question for each phrase that has boxes."""
        for number, entry in enumerate(self._entries):
            place = f"{self.path}, image {number}"
            caption = self._sentence(entry, place)
            within = files.size(entry, place)
            boxes: dict[Span, list[Box]] = {}
            for told, annotation in self._annotations.get(files.identifier(entry, "id", place), []):
                box = files.xywh(annotation, within, told)
                for span in _spans(annotation.get("tokens_positive"), caption, told):
                    boxes.setdefault(span, []).append(box)
            for order, spans in enumerate(_lists(entry.get("tokens_positive_eval"), place)):
                asked_for = next(_spans(spans, caption, place), None)
                if asked_for is None or asked_for not in boxes:
                    raise UserError(
                        f"{place}: phrase {order} has no box. Give MDETR's file as it was published."
                    )
                asked = Prompt("phrase_grounding", phrase_words(caption, asked_for), [])
                yield self._ask(f"{name}/{number}/{order}", entry, place, boxes[asked_for], asked)

    def _referred(self) -> Iterator[tuple[int, str, files.Row, Box, files.Row]]:
        for number, entry in enumerate(self._entries):
            place = f"{self.path}, image {number}"
            found = self._annotations.get(files.identifier(entry, "id", place), [])
            if len(found) != 1:
                raise UserError(
                    f"{place} has {len(found)} boxes, not one. Give MDETR's finetune_refcoco*.json."
                )
            [(told, annotation)] = found
            yield number, place, entry, files.xywh(annotation, files.size(entry, place), told), annotation

    def _ask(self, id_: str, entry: files.Row, place: str, truth: object, asked: Prompt) -> Ask:
        file_name = files.words(entry, "file_name", place)
        return Ask(Question(id_, file_name, truth), asked, self._images.loader(file_name, place))

    def _sentence(self, entry: files.Row, place: str) -> str:
        """As it stands, because spans point into it."""
        caption = entry.get("caption")
        if not isinstance(caption, str) or len(caption) > files.MAX_TEXT:
            raise UserError(
                f"{place} has no text 'caption' that can be asked. Check the `format` of this set."
            )
        return caption.encode("utf-8", "replace").decode()


def _spans(value: Any, caption: str, place: str) -> Iterator[Span]:
    for item in _lists(value, place):
        if len(item) != 2 or not all(type(offset) is int for offset in item):
            raise UserError(f"{place} has a span {item!r}, not [start, end]. Check the `format` of this set.")
        span = Span(*item)
        if not (0 <= span.start < span.end <= len(caption) and span.of(caption).strip()):
            raise UserError(f"{place} has a span {item!r} that holds no words of its caption. Mend the file.")
        yield span


def _lists(value: Any, place: str) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(item, list) for item in value):
        raise UserError(f"{place} has no lists of spans. Check the `format` of this set.")
    return value

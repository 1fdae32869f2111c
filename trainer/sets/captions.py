"""COCO's captions (captions_val2014.json): a question an image, all its captions the references.

{"images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg"}],
 "annotations": [{"image_id": 391895, "caption": "A man with a red helmet on a small moped."}]}
"""

from pathlib import Path

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """The images that have captions."""
    if split is not None:
        raise UserError(f"A file of captions is one split: leave `split` of the set {name} out.")
    photos, file = files.ImageFolder(images), Path(path)
    told = files.json_object(file, "images", "annotations")
    references: dict[int | str, list[str]] = {}
    for number, entry in enumerate(told["annotations"]):
        place = f"{file}, annotation {number}"
        text = files.words(entry, "caption", place)
        references.setdefault(files.identifier(entry, "image_id", place), []).append(text)
    asks = []
    for number, entry in enumerate(told["images"]):
        place = f"{file}, image {number}"
        id_ = files.identifier(entry, "id", place)
        if id_ in references:
            image = files.words(entry, "file_name", place)
            question = Question(f"{name}/{id_}", image, references[id_])
            asks.append(Ask(question, Prompt("caption", {}, []), photos.loader(image, place)))
    return [QuestionSet(name, "caption", asks)]

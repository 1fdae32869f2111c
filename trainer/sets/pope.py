"""POPE (Li et al. 2023, arXiv:2305.10355), a file a set: coco_pope_random.json, popular, adversarial.

    {"question_id": 1, "image": "COCO_val2014_000000310196.jpg",
     "text": "Is there a snowboard in the image?", "label": "yes"}

JSON lines, whatever the file's ending. `question` may stand for `text`; `split` chooses a `category`.
"""

from pathlib import Path

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """A question of yes or no a line."""
    photos = files.ImageFolder(images)
    asks: list[Ask] = []
    for place, row in files.json_lines(Path(path)):
        if split is not None and row.get("category") != split:
            continue
        text = files.words(row, "text" if "text" in row else "question", place)
        image = files.words(row, "image", place)
        label = str(row.get("label")).strip().lower()
        if label not in ("yes", "no"):
            raise UserError(f"{place} has the label {row.get('label')!r}, neither yes nor no. Mend the file.")
        question = Question(f"{name}/{len(asks)}", image, label == "yes")
        asks.append(Ask(question, Prompt("vqa", {"question": text}, []), photos.loader(image, place)))
    return [QuestionSet(name, "pope", asks)]

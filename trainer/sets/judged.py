"""Questions whose answers a judge grades, as LLaVA-Bench and Ferret-Bench publish them: JSON lines.

A file with all of it,

    {"question_id": 0, "image": "000000069138.jpg", "category": "refer_desc",
     "text": "What is the interaction between the object [0.621, 0.082, 0.772, 0.132] and its surroundings?",
     "context": "Objects:\\nObject 0 : arrows at [0.000, 0.616, 0.214, 0.644]. ...",
     "reference": "The object is a sign that is placed on a building. ..."}

or a folder with question.jsonl, context.jsonl (`text` or LLaVA-Bench's `caption`) and answer.jsonl (`text`),
their names in the plural or with an ending as in answers_gpt4.jsonl; contexts are joined by `image`, answers
by `question_id`. Boxes in a question are 0..1 floats; the model is asked of them in its own spelling, the
judge as they stand.
"""

from pathlib import Path

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.turns import written_boxes
from gritmill.trainer.sets import files
from gritmill.trainer.sets.base import Ask, QuestionSet, Reference


def load(path: str, name: str, images: str, also: frozenset[str], split: str | None) -> list[QuestionSet]:
    """A question a line; `split` chooses a `category`."""
    photos = files.ImageFolder(images)
    rows = _joined(Path(path)) if Path(path).is_dir() else list(files.json_lines(Path(path)))
    asks = []
    for place, row in rows:
        category = str(row.get("category") or "")
        if split is not None and category != split:
            continue
        image = files.words(row, "image", place)
        reference = Reference(_long(row, "context", place), _long(row, "reference", place), category)
        question = Question(f"{name}/{files.identifier(row, 'question_id', place)}", image, reference)
        text = files.words(row, "text", place)
        asked = Prompt("vqa", {"question": text}, written_boxes(text))
        asks.append(Ask(question, asked, photos.loader(image, place)))
    return [QuestionSet(name, "judge", asks)]


def _joined(folder: Path) -> list[tuple[str, files.Row]]:
    contexts = {row.get("image"): row for _, row in files.json_lines(_only(folder, "context"))}
    answers = {row.get("question_id"): row for _, row in files.json_lines(_only(folder, "answer"))}
    rows = []
    for place, row in files.json_lines(_only(folder, "question")):
        context, answer = contexts.get(row.get("image"), {}), answers.get(row.get("question_id"), {})
        told = context.get("text", context.get("caption"))
        if isinstance(told, list):
            told = "\n".join(str(text) for text in told)
        rows.append((place, {**row, "context": told, "reference": answer.get("text")}))
    return rows


def _only(folder: Path, kind: str) -> Path:
    found = sorted(folder.glob(f"{kind}*.jsonl"))
    if len(found) != 1:
        raise UserError(f"{folder} has {len(found)} files {kind}*.jsonl, not one. Leave one in it.")
    return found[0]


def _long(row: files.Row, name: str, place: str) -> str:
    """A text of several lines."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 5 * files.MAX_TEXT:
        raise UserError(f"{place} has no {name} that can be judged by. Check the `format` of this set.")
    return value.encode("utf-8", "replace").decode()

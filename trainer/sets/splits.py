"""Questions about a split of our own dataset, from its records alone.

`rec`: an expression that means one box of its caption. `phrase_grounding`: a noun chunk and all its boxes.
`reg`: a box and the expressions for it. `caption`: an image and all its captions.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from PIL.Image import Image as PILImage

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.conversations import shielded
from gritmill.schemas.errors import UserError
from gritmill.schemas.expressions import as_definite, in_line, unique_expressions
from gritmill.schemas.records import Record, Region
from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.sets.base import Ask, QuestionSet, Task

_OFTEN = 0.5
"""A set of which a larger share of the records cannot be read is refused."""


class Records(Protocol):
    """What of a dataset is needed here; `trainer.data.shards.ShardDataset` is one."""

    def __len__(self) -> int: ...
    def record(self, number: int) -> Record: ...
    def image(self, number: int) -> PILImage: ...


def questions(dataset: Records, name: str, task: Task) -> QuestionSet:
    """All questions of a task about a split. Raises `UserError` if there are none."""
    samples, broken = [], 0
    for row in range(len(dataset)):
        try:
            samples.append(_Sample(dataset.record(row), partial(dataset.image, row)))
        except (ValueError, KeyError, TypeError):
            broken += 1
    if broken > _OFTEN * len(dataset):
        raise UserError(f"{broken:,} of {len(dataset):,} records of {name} are none. Run `pipeline verify`.")
    asks = list(_captions(samples) if task == "caption" else _of_each(samples, task))
    if not asks:
        raise UserError(f"{name} has nothing to ask for {task!r}. Take it out of `eval.tasks`.")
    return QuestionSet(name, task, asks)


class _Sample:
    """A record, its spans those of a caption that can hold no markup (as the stage `tasks` asks it)."""

    def __init__(self, record: Record, image: Callable[[], PILImage]) -> None:
        self.key, self.image = str(record["key"]), image
        self.image_id = str(record.get("image_id") or self.key)
        caption = str(record["caption"])
        self.caption = shielded(caption).strip()
        self.captions = [str(text) for text in record.get("captions") or [caption]]
        self._margin = len(caption) - len(caption.lstrip())
        self.chunks = self._regions(record.get("noun_chunks"))
        self.expressions = self._regions(record.get("ref_exps"))

    def _regions(self, items: Any) -> list[tuple[Span, Box]]:
        regions = [Region.from_item(item) for item in items or []]
        found = []
        for (start, end), box, _ in regions:
            span = Span(max(start - self._margin, 0), min(end - self._margin, len(self.caption)))
            if box.clipped().is_valid and span.of(self.caption).strip():
                found.append((span, box))
        return found

    def unique(self) -> Iterator[tuple[str, Box]]:
        return unique_expressions(self.caption, self.expressions)

    def ask(self, task: str, number: int, truth: object, words: dict[str, str], boxes: list[Box]) -> Ask:
        question = Question(f"{self.key}/{task}/{number}", self.image_id, truth)
        return Ask(question, Prompt(task, words, boxes), self.image)


def _of_each(samples: list[_Sample], task: str) -> Iterator[Ask]:
    for sample in samples:
        yield from _QUESTIONS[task](sample)


def _comprehensions(sample: _Sample) -> Iterator[Ask]:
    for number, (expression, box) in enumerate(sample.unique()):
        yield sample.ask("rec", number, box, expression_words(expression), [])


def _groundings(sample: _Sample) -> Iterator[Ask]:
    """Chunks of the same words ("a dog next to a dog") are one question with the boxes of all."""
    found: dict[str, tuple[Span, list[Box]]] = {}
    for span, box in sample.chunks:
        found.setdefault(in_line(span.of(sample.caption)).casefold(), (span, []))[1].append(box)
    for number, (span, boxes) in enumerate(found.values()):
        words = phrase_words(sample.caption, span)
        yield sample.ask("phrase_grounding", number, list(dict.fromkeys(boxes)), words, [])


def _generations(sample: _Sample) -> Iterator[Ask]:
    found: dict[Box, list[str]] = {}
    for expression, box in sample.unique():
        found.setdefault(box, []).append(expression)
    for number, (box, expressions) in enumerate(found.items()):
        yield sample.ask("reg", number, expressions, {}, [box])


def _captions(samples: list[_Sample]) -> Iterator[Ask]:
    """One question an image, however many samples it has."""
    by_image: dict[str, list[_Sample]] = {}
    for sample in samples:
        by_image.setdefault(sample.image_id, []).append(sample)
    for same in by_image.values():
        texts = dict.fromkeys(in_line(text) for sample in same for text in sample.captions)
        if references := [text for text in texts if text]:
            yield same[0].ask("caption", 0, references, {}, [])


_QUESTIONS: dict[str, Callable[[_Sample], Iterator[Ask]]] = {
    "rec": _comprehensions,
    "phrase_grounding": _groundings,
    "reg": _generations,
}


def expression_words(expression: str) -> dict[str, str]:
    """What the templates of `rec` have slots for.

    >>> expression_words("a dog in a field")
    {'expression': 'a dog in a field', 'definite': 'the dog in a field'}
    """
    definite = as_definite(expression)
    return {"expression": expression, **({"definite": definite} if definite else {})}


def phrase_words(caption: str, span: Span) -> dict[str, str]:
    """What the templates of `phrase_grounding` have slots for; `before` is the caption up to the phrase.

    >>> phrase_words("a dog in a field", Span(9, 16))
    {'phrase': 'a field', 'caption': 'a dog in a field', 'before': 'a dog in'}
    """
    before = in_line(caption[: span.start])
    return {"phrase": in_line(span.of(caption)), "caption": in_line(caption), "before": before}

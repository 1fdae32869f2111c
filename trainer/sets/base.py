"""What every evaluation set is: questions with their truth, how to ask them, and their images."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal, NamedTuple

from PIL.Image import Image as PILImage

from gritmill.trainer.metrics import Question
from gritmill.trainer.models.base import Prompt

Task = Literal["rec", "phrase_grounding", "reg", "caption", "pope", "judge"]
"""What is scored, and so what a truth is: a box; all boxes of a phrase; reference texts (`reg`, `caption`);
yes or no; the `Reference` of a judge."""


class Ask(NamedTuple):
    """A question of a set.

    >>> Ask(Question("refcoco_val/17", "COCO_train2014_000000000072.jpg", Box(0.1, 0.2, 0.5, 0.9)),
    ...     Asked("rec", {"expression": "left giraffe"}, []), loader)
    """

    question: Question[Any]
    asked: Prompt
    image: Callable[[], PILImage]
    """Decodes it. Raises `OSError` or `ValueError` if that cannot be done."""


class Reference(NamedTuple):
    """What a judge holds an answer against."""

    context: str
    """The image in words: captions, objects with their boxes."""
    answer: str
    """A good answer, that of a strong model or a person."""
    category: str
    """Such as `refer_desc`; may be empty."""


@dataclass(frozen=True)
class QuestionSet:
    """Questions of one task, which are scored together."""

    name: str
    task: Task
    asks: Sequence[Ask]
    merged: bool = False
    """The boxes of a phrase are one hull already, so that `any_box` cannot be scored."""
    drawn_from: int | None = None
    """How many questions there were, where `limited` drew from them."""

    def limited(self, most: int | None, seed: int) -> "QuestionSet":
        """At most so many questions, drawn by a seed, in their order."""
        if most is None or len(self.asks) <= most:
            return self
        rng = Random(f"{seed}:{self.name}:{self.task}")  # noqa: S311 (a sample, no secret)
        rows = sorted(rng.sample(range(len(self.asks)), most))
        return replace(self, asks=[self.asks[row] for row in rows], drawn_from=len(self.asks))

    def digest(self) -> str:
        """Short SHA-256 of what is asked and what is right: two evaluations with the same one compare."""
        told = [(ask.question, ask.asked) for ask in self.asks]
        return hashlib.sha256(json.dumps([self.task, told]).encode()).hexdigest()[:16]

"""Grounded captions -> training conversations: which tasks, in which words, is drawn for each sample."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from string import Formatter
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from gritmill import prompts
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Reject, Span
from gritmill.schemas.conversations import (
    ASSISTANT,
    HUMAN,
    Conversation,
    Phrase,
    Provenance,
    Turn,
    TurnRegion,
    placeholder,
    shielded,
    with_image,
)
from gritmill.schemas.expressions import POINTERS, as_definite, in_line, unique_expressions
from gritmill.stages.common.templates import from_templates
from gritmill.stages.maker import Maker

Task = Literal["grounded_caption", "phrase_grounding", "rec", "reg"]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Tasks(Maker):
    """Caption, boxes and referring expressions -> a conversation about the image, boxes left as numbers.

    "A woman in the snow.", "A woman in the snow" [.34 .15 .52 .86] ->
    human: "<image> Find the woman in the snow in the image."  assistant: "<region:0>"

    `caption`: the plain caption. `grounded_caption`: the caption, with its referring expressions marked.
    `phrase_grounding`: a noun chunk of the caption -> all its boxes. `rec`: a referring expression -> its
    box. `reg`: a box -> its expression. The last two ask only where an expression has one box. The words
    of the questions are those of prompts/tasks/; captions are never reworded. Everything is drawn by the
    sample's key; a sample of which nothing can be asked is rejected as `no_question`.
    """

    reads = ("key", "caption", "boxes", "ref_exps")

    tasks: dict[Task, Weight] = Field(
        default={"grounded_caption": 1, "phrase_grounding": 1, "rec": 1, "reg": 1}, min_length=1
    )
    """What is asked about boxes, with weights: a question's task is drawn by them among those that the
    sample has something to ask of."""
    boxes_probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the samples that are asked about boxes; the others, and those that have none, become plain
    captions. Kosmos-2's (microsoft/unilm, `--use-object-bbox-prob 0.5`). 1 leaves plain captions out."""
    max_questions: int = Field(default=4, ge=1)
    """Most questions of a conversation. No two are about the same box, so that no answer can be copied
    from an earlier turn; a grounded caption, which is about all of them, stands alone."""
    image: Literal["before", "after"] = "before"
    """Where `<image>` stands in the first question, on a line of its own."""
    wordings: int | None = Field(default=None, ge=1)
    """How many of a task's questions are drawn from, the first of its file; all if left out. One is
    enough for a small model that is to learn a task and not its words."""
    seed: int = 0
    """Another seed draws other tasks and words."""

    def revision(self) -> dict[str, str]:
        return {_file(task): prompts.digest(_file(task)) for task in ("caption", *QUESTIONS)}

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in self.reads), strict=True)
        return {"conversations": [self._row(*row) for row in rows]}

    def _row(
        self, key: str, caption: str, boxes: list[GroundedBox], ref_exps: list[Span]
    ) -> list[Conversation] | Reject:
        # Seeded by text, which Python hashes with SHA-512: the same numbers on every machine.
        rng = Random(f"{self.seed}:{key}")  # noqa: S311 (nothing secret here)
        sample = _sample(caption, boxes, ref_exps)
        with_boxes = rng.random() < self.boxes_probability
        asked = self._drawn(sample, rng) if with_boxes else []
        if not asked and self.boxes_probability < 1 and sample.caption:
            asked = [_Question("caption", {}, [], sample.caption, [], [])]
        if not asked:
            return Reject("no_question")
        turns = [turn for question in asked for turn in _turns(question, rng, self.wordings)]
        first = with_image(turns[0].text, before=self.image == "before")
        return [Conversation([turns[0]._replace(text=first), *turns[1:]], _provenance(asked))]

    def _drawn(self, sample: "_Sample", rng: Random) -> "list[_Question]":
        """Questions about boxes. The order of `tasks` in the recipe does not matter."""
        pools = {task: list(ask(sample)) for task, ask in QUESTIONS.items() if task in self.tasks}
        asked: list[_Question] = []
        while len(asked) < self.max_questions:
            pools = {task: pool for task, pool in pools.items() if pool}
            if not pools:
                break
            [task] = rng.choices(list(pools), [self.tasks[task] for task in pools])
            question = rng.choice(pools[task])
            asked.append(question)
            pools = {t: [q for q in pool if not q.boxes & question.boxes] for t, pool in pools.items()}
        return asked


class _Sample(NamedTuple):
    """What may be asked about. Spans are those of `caption`, which can hold no placeholder any more."""

    caption: str
    chunks: dict[Span, list[Box]]
    expressions: dict[Span, list[Box]]


class _Question(NamedTuple):
    task: str
    words: dict[str, str]
    """What its templates have slots for."""
    given: list[Box]
    """The boxes that it names."""
    answer: str
    found: list[Box]
    """The boxes that the answer's placeholder stands for."""
    phrases: list[Phrase]

    @property
    def boxes(self) -> frozenset[Box]:
        """All that it is about."""
        return frozenset(
            [*self.given, *self.found, *(box for phrase in self.phrases for box in phrase.boxes)]
        )


def _sample(caption: str, boxes: list[GroundedBox], ref_exps: list[Span]) -> _Sample:
    text = shielded(caption).strip()
    margin = len(caption) - len(caption.lstrip())
    chunks: dict[Span, list[Box]] = {}
    expressions: dict[Span, list[Box]] = {}
    for grounded, ref_exp in zip(boxes, ref_exps, strict=True):
        for spans, span in ((chunks, grounded.span), (expressions, ref_exp)):
            start, end = span
            spans.setdefault(Span(max(start - margin, 0), min(end - margin, len(text))), []).append(
                grounded.box
            )
    return _Sample(text, chunks, expressions)


def _turns(question: _Question, rng: Random, wordings: int | None) -> list[Turn]:
    slots = {**question.words, **({"region": placeholder(0)} if question.given else {})}
    text = rng.choice(_templates(question.task, slots)[:wordings]).format(**slots)
    given, found = ([TurnRegion(boxes)] if boxes else [] for boxes in (question.given, question.found))
    return [
        Turn(HUMAN, question.task, text, given, []),
        Turn(ASSISTANT, question.task, question.answer, found, question.phrases),
    ]


def _provenance(asked: list[_Question]) -> Provenance:
    tasks = list(dict.fromkeys(question.task for question in asked))
    return from_templates(tasks, map(_file, tasks))


def _templates(task: str, slots: Mapping[str, str]) -> list[str]:
    """Those that need no more than there is to fill in."""
    return [template for template in prompts.word_list(_file(task)) if _slots(template) <= slots.keys()]


@cache
def _slots(template: str) -> frozenset[str]:
    return frozenset(slot for _, slot, _, _ in Formatter().parse(template) if slot)


def _file(task: str) -> str:
    return f"tasks/{task}"


def _grounded_captions(sample: _Sample) -> Iterator[_Question]:
    """Nested expressions are left to the dialect, which knows what its picture crops away."""
    phrases = [Phrase(span, boxes) for span, boxes in sorted(sample.expressions.items())]
    if phrases:
        yield _Question("grounded_caption", {}, [], sample.caption, [], phrases)


def _phrase_groundings(sample: _Sample) -> Iterator[_Question]:
    """Chunks of the same words ("a dog next to a dog") are one question with the boxes of all."""
    found: dict[str, tuple[str, list[Box]]] = {}
    for span, boxes in sample.chunks.items():
        phrase = in_line(span.of(sample.caption))
        found.setdefault(phrase.casefold(), (phrase, []))[1].extend(boxes)
    for phrase, boxes in found.values():
        words = {"phrase": phrase, "caption": in_line(sample.caption)}
        answer = [Phrase(Span(0, len(phrase)), list(dict.fromkeys(boxes)))]
        yield _Question("phrase_grounding", words, [], phrase, [], answer)


def _comprehensions(sample: _Sample) -> Iterator[_Question]:
    for expression, box in _unique(sample):
        definite = as_definite(expression)
        words = {"expression": expression, **({"definite": definite} if definite else {})}
        yield _Question("rec", words, [], placeholder(0), [box], [])


def _generations(sample: _Sample) -> Iterator[_Question]:
    for expression, box in _unique(sample):
        yield _Question("reg", {}, [box], as_answer(expression), [], [])


def _unique(sample: _Sample) -> Iterator[tuple[str, Box]]:
    pairs = ((span, box) for span, boxes in sample.expressions.items() for box in boxes)
    return unique_expressions(sample.caption, pairs)


QUESTIONS: dict[Task, Callable[[_Sample], Iterator[_Question]]] = {
    "grounded_caption": _grounded_captions,
    "phrase_grounding": _phrase_groundings,
    "rec": _comprehensions,
    "reg": _generations,
}
"""All that a task may ask about a sample."""


def as_answer(expression: str) -> str:
    """An expression as a sentence of its own.

    >>> as_answer("a dog in a field"), as_answer("her dog")
    ('A dog in a field.', 'The dog.')
    """
    first = expression.partition(" ")[0].lower()
    text = as_definite(expression) if first in POINTERS else None
    text = text or expression
    end = "" if text.endswith((".", "!", "?", "…")) else "."
    return text[:1].upper() + text[1:] + end

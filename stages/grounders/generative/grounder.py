"""Boxes that a vision-language model writes when it is asked for a phrase."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, PrivateAttr, field_validator

from gritmill import prompts
from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Reject, Span
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.images import Image, decode
from gritmill.schemas.weights import Weights
from gritmill.stages.common.local_models import (
    Device,
    Halving,
    Precision,
    ahead,
    check_architecture,
    chosen_device,
    chosen_precision,
    load_model,
    load_part,
    problems_of,
    revision_of,
)
from gritmill.stages.grounders.base import Ground
from gritmill.stages.grounders.generative.answering import Answerer, BoxAnswer, BoxQuestion
from gritmill.stages.grounders.generative.labellers import INSTRUCTIONS, LABELLERS


class PhraseAnswer(NamedTuple):
    """What the model said of a phrase, and what was made of it.

    >>> PhraseAnswer(Span(0, 5), '[{"bbox_2d": [77, 119, 283, 391], "label": "a dog"}]', 1, 0, True)
    """

    span: Span
    text: str
    boxes: int
    unreadable: int
    """Boxes that are none: inverted, outside of the image."""
    whole: bool
    """The answer ended by itself, not at `max_new_tokens`."""


class GenerativeGrounder(Ground):
    """Noun chunks -> the boxes that Florence-2, Kosmos-2, LLaVA, Qwen2.5-VL or Qwen3-VL writes for them.

    "a dog" asked as "<CAPTION_TO_PHRASE_GROUNDING>a dog" -> "a dog<loc_52><loc_332><loc_932><loc_774>" ->
    [GroundedBox(Span(0, 5), Box(.05, .33, .93, .77), 0.41, "Florence-2-base@a1b2c3...", "a dog")]

    Each phrase is a question of its own, in the words of the model's authors, so that no answer has to be
    matched to a phrase by what it says. Kosmos-2 is told the caption up to the phrase, too. A model
    that `pipeline train` has made is asked as `pipeline eval` asks it, in words and dialect that it learnt.

    Such a model gives no scores. A box's is the geometric mean of the probabilities of the tokens with which
    its numbers were written: how sure the model was of this very box. The finer the numbers, the lower,
    since neighbours share what is certain: Florence-2's thousandths lie below Kosmos-2's cells. It says
    nothing of whether the phrase is to be seen at all, which such models seldom deny.

    What was said is kept in `grounding_answers`. An answer without a box gives no candidates. A sample is
    rejected as `unreadable_answer` where no answer has a box and one at least was cut off or has boxes that
    are none. The most likely token is taken each time; which questions share a batch can change a last
    digit now and then, as padding changes the numbers that the model computes.
    """

    reads: ClassVar[tuple[str, ...]] = ("caption", "noun_chunks", "image")
    writes = {"candidates": list[GroundedBox], "grounding_answers": list[PhraseAnswer]}
    packages: ClassVar[dict[str, str]] = {"torch": "grounders", "transformers": "grounders"}
    run_options: ClassVar[frozenset[str]] = Ground.run_options | {"questions_at_once"}

    batch_size: int = Field(default=32, ge=1)
    gpus: float | None = Field(default=None, ge=0)

    grounder: Literal["generative"] = "generative"
    """Where the boxes come from."""
    model: str = Field(min_length=1)
    """Hub id or folder of a Florence-2, Kosmos-2, LLaVA, Qwen2.5-VL or Qwen3-VL that transformers itself has,
    or of one that `pipeline train` has made."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    dialect: str | None = None
    """How the model spells boxes, one of `pipeline dialects`; null for what `pipeline train` has taught it,
    else for what its family was trained to write. For checkpoints that were fine-tuned elsewhere to write
    others."""
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    """Boxes that the model was less sure of are not kept at all."""
    max_new_tokens: int = Field(default=256, ge=8)
    """Longest answer; a box takes 2 tokens (Kosmos-2) to about 30 (Qwen-VL)."""
    questions_at_once: int = Field(default=8, ge=1)
    """Most questions in one batch of the model; halved where the GPU's memory does not suffice."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""
    precision: Precision = "auto"
    """Type of the weights; auto is bfloat16 on a GPU (float16 where it lacks that), else float32."""

    _answers: Answerer = PrivateAttr()
    _answered: Halving = PrivateAttr()
    _label: str = PrivateAttr()

    @field_validator("dialect")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in DIALECTS:
            raise ValueError(f"there is no such dialect; there are: {', '.join(DIALECTS)}")
        return name

    def problems(self) -> list[str]:
        return problems_of(self.model, self.model_revision, LABELLERS)

    def revision(self) -> dict[str, str]:
        words = {"instructions": prompts.digest(INSTRUCTIONS)}
        return revision_of(self.model, self.model_revision) | words

    def targets(self) -> list[str]:
        learnt = None
        with suppress(ValueError):  # `setup` says what is wrong with it
            learnt = checkpoints.dialect_of(Path(self.model).expanduser())
        chosen = self.dialect or learnt
        names = {chosen} if chosen else {family.dialect_name for family in LABELLERS.values()}
        return sorted(DIALECTS.target(name) for name in names if name in DIALECTS)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def setup(self) -> None:
        import torch

        torch.set_num_threads(self._threads)
        device = chosen_device(self.device)
        precision = chosen_precision(self.precision, device)
        checkpoint = checkpoints.find(self.model, self.model_revision)
        check_architecture(checkpoint, LABELLERS)
        family = LABELLERS[checkpoint.model_type]
        weights = load_model(checkpoint, "AutoModelForImageTextToText", dtype=getattr(torch, precision))
        labeller = load_part(checkpoint, partial(family.load, dialect=self.dialect))
        self._label = checkpoint.label
        self._answers = Answerer(family.mended(weights).to(device), labeller, device, self.max_new_tokens)
        self._answered = Halving(self.questions_at_once)

    def process(self, batch: Columns) -> Columns:
        columns = zip(batch["image"], batch["caption"], batch["noun_chunks"], strict=True)
        rows = [self._row(image, caption, spans) for image, caption, spans in columns]
        waiting: list[tuple[_Row, BoxQuestion]] = []
        for row, asked in self._asked([row for row in rows if row.questions]):
            waiting.append((row, asked))
            if len(waiting) == self.questions_at_once:
                self._ask(waiting)
        self._ask(waiting)
        return {
            "candidates": [self._candidates(row) for row in rows],
            "grounding_answers": [_kept(row) for row in rows],
        }

    @property
    def _threads(self) -> int:
        return max(1, int(self.cpus))

    def _row(self, image: Image, caption: str, spans: list[Span]) -> "_Row":
        labeller = self._answers.labeller
        phrases = [labeller.asked(span.of(caption)) for span in spans]
        questions = [
            labeller.question(phrase, caption[: span.start]) if phrase else ""
            for phrase, span in zip(phrases, spans, strict=True)
        ]
        return _Row(image, spans, phrases, questions, {})

    def _asked(self, rows: "list[_Row]") -> "Iterator[tuple[_Row, BoxQuestion]]":
        """Every question once, with its image, which is decoded while the model works."""
        images = ahead(
            lambda row: decode(row.image.read()), rows, self._threads, depth=self.questions_at_once
        )
        for row, image in zip(rows, images, strict=True):
            for question in dict.fromkeys(filter(None, row.questions)):
                yield row, BoxQuestion(image, question)

    def _ask(self, waiting: "list[tuple[_Row, BoxQuestion]]") -> None:
        answers = self._answered(self._answers, [asked for _, asked in waiting])
        for (row, asked), answer in zip(waiting, answers, strict=True):
            row.answers[asked.question] = answer
        waiting.clear()

    def _candidates(self, row: "_Row") -> list[GroundedBox] | Reject:
        answers = [row.answers.get(question) for question in row.questions]
        if not any(answer.boxes for answer in answers if answer):
            unreadable = [a for a in answers if a and (a.unreadable or not a.whole)]
            if unreadable:
                return Reject("unreadable_answer", unreadable[0].text[:200])
        return [
            GroundedBox(span, _rounded(box), score, self._label, phrase)
            for span, phrase, answer in zip(row.spans, row.phrases, answers, strict=True)
            if answer
            for box, score in answer.boxes
            if score >= self.score_threshold
        ]


class _Row(NamedTuple):
    image: Image
    spans: list[Span]
    phrases: list[str]
    questions: list[str]
    """Of each span; empty where there is nothing to ask for."""
    answers: dict[str, BoxAnswer]


def _kept(row: _Row) -> list[PhraseAnswer]:
    pairs = [(span, row.answers.get(question)) for span, question in zip(row.spans, row.questions)]
    return [
        PhraseAnswer(span, answer.text, len(answer.boxes), answer.unreadable, answer.whole)
        for span, answer in pairs
        if answer
    ]


def _rounded(box: Box) -> Box:
    return Box(*(round(v, 6) for v in box))

"""Scores that carry their protocol, and the outcomes of single questions that they sum up."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics.bootstrap import Counts, Interval, Statistic, bootstrap_interval, share

Truth_co = TypeVar("Truth_co", covariant=True)
Answer = TypeVar("Answer")


class Question(NamedTuple, Generic[Truth_co]):
    """What is asked about an image, and what is right.

    >>> Question("refcoco_val/17", "COCO_train2014_000000000072.jpg", Box(0.1, 0.2, 0.5, 0.9))
    """

    id: str
    image: str
    truth: Truth_co


@dataclass(frozen=True)
class Score:
    """A number with what it takes to believe it; `dataclasses.asdict` of it is a row of metrics.json.

    >>> print(Score("rec/first_box@0.5", 0.631, 1234, 400, 3, Interval(0.602, 0.659), ceiling=0.991))
    rec/first_box@0.5 0.631 [0.602, 0.659], 1,234 questions on 400 images, 3 unparsable, ceiling 0.991
    """

    protocol: str
    value: float
    n: int
    """All questions, answered or not: the denominator."""
    images: int
    unparsable: int
    """Answers without anything that could be scored; each counts as wrong."""
    interval: Interval | None = None
    ceiling: float | None = None
    """What perfect answers score after the rounding of the model's dialect."""

    def __str__(self) -> str:
        interval = f" [{self.interval.low:.3f}, {self.interval.high:.3f}]" if self.interval else ""
        ceiling = "" if self.ceiling is None else f", ceiling {self.ceiling:.3f}"
        asked = f"{self.n:,} questions on {self.images:,} images, {self.unparsable:,} unparsable"
        return f"{self.protocol} {self.value:.3f}{interval}, {asked}{ceiling}"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of each question under one protocol, a row a question."""

    protocol: str
    ids: tuple[str, ...]
    images: tuple[str, ...]
    counts: Counts
    """Questions x numbers, which `statistic` reads summed: (hit, 1) for an accuracy."""
    unparsable: tuple[bool, ...]
    statistic: Statistic = share

    @classmethod
    def of(
        cls,
        protocol: str,
        questions: Sequence[Question[object]],
        counts: Sequence[Sequence[float]],
        unparsable: Sequence[bool],
        statistic: Statistic = share,
    ) -> Self:
        """Rows in the order of the questions."""
        ids, images = tuple(q.id for q in questions), tuple(q.image for q in questions)
        return cls(protocol, ids, images, np.array(counts, dtype=np.float64), tuple(unparsable), statistic)

    def score(self, *, ceiling: float | None = None, resamples: int = 1000, seed: int = 0) -> Score:
        """The summary, with the bootstrap's interval."""
        return Score(
            self.protocol,
            self.statistic(self.counts.sum(axis=0)),
            len(self.ids),
            len(set(self.images)),
            sum(self.unparsable),
            bootstrap_interval(self.counts, self.images, self.statistic, resamples, seed),
            ceiling,
        )

    def subset(self, name: str, ids: Collection[str]) -> "Outcomes":
        """Some of the questions, under a name of their own: `rec/first_box@0.5[small]`."""
        chosen = set(ids)
        rows = [row for row, id_ in enumerate(self.ids) if id_ in chosen]
        if not rows:
            raise UserError(f"{self.protocol}[{name}] has no questions. Leave it out of the breakdown.")
        return self._rows(f"{self.protocol}[{name}]", rows)

    def in_order(self) -> "Outcomes":
        """By id."""
        return self._rows(self.protocol, sorted(range(len(self.ids)), key=self.ids.__getitem__))

    def _rows(self, protocol: str, rows: Sequence[int]) -> "Outcomes":
        return Outcomes(
            protocol,
            tuple(self.ids[row] for row in rows),
            tuple(self.images[row] for row in rows),
            self.counts[list(rows)],
            tuple(self.unparsable[row] for row in rows),
            self.statistic,
        )


class Difference(NamedTuple):
    """The second score less the first: `Difference("rec/first_box@0.5", 0.041, Interval(0.018, 0.066), 99)`.

    Where zero lies in the interval, the data cannot tell the two apart.
    """

    protocol: str
    value: float
    interval: Interval | None
    n: int


def answers_to(questions: Sequence[Question[object]], answers: Mapping[str, Answer]) -> list[Answer]:
    """The answers by question id, in the order of the questions: exactly one each.

    A missing one is an error, so that no denominator shrinks unseen; an unreadable one is an empty answer.
    """
    if not questions:
        raise UserError("There are no questions to score. Check the evaluation set and its split.")
    repeated = [id_ for id_, times in Counter(q.id for q in questions).items() if times > 1]
    if repeated:
        raise UserError(f"Several questions have the id {repeated[0]!r}. Give each its own.")
    if missing := [q.id for q in questions if q.id not in answers]:
        some = f"{len(missing):,} of {len(questions):,} questions, such as {missing[0]!r}, have no answer"
        raise UserError(f"{some}. Let the model answer all of them.")
    if len(answers) > len(questions):
        unasked = min(answers.keys() - {q.id for q in questions})
        raise UserError(f"{unasked!r} is answered but not asked. Score answers with their own question set.")
    return [answers[q.id] for q in questions]


def compare(a: Score, b: Score) -> float:
    """`b.value - a.value`; refuses scores of different protocols or of visibly different questions.

    Whether the difference means anything: `paired_difference`.
    """
    _same_protocol(a.protocol, b.protocol)
    if (a.n, a.images) != (b.n, b.images):
        asked = f"{a.n:,} questions on {a.images:,} images and on {b.n:,} on {b.images:,}"
        raise UserError(f"{a.protocol} was measured on {asked}. Evaluate both on the same set.")
    return b.value - a.value


def paired_difference(a: Outcomes, b: Outcomes, *, resamples: int = 1000, seed: int = 0) -> Difference:
    """How much better `b` is than `a` on the same questions, both resampled on the same images.

    Far narrower than the gap between two intervals: what makes an image hard is hard for both.
    """
    _same_protocol(a.protocol, b.protocol)
    a, b = a.in_order(), b.in_order()
    if (a.ids, a.images) != (b.ids, b.images):
        raise UserError(
            f"The two sets of {a.protocol} are of different questions. Evaluate both on the same."
        )
    split = a.counts.shape[1]

    def gain(sums: Counts) -> float:
        return b.statistic(sums[split:]) - a.statistic(sums[:split])

    both = np.hstack((a.counts, b.counts))
    interval = bootstrap_interval(both, a.images, gain, resamples, seed)
    return Difference(a.protocol, gain(both.sum(axis=0)), interval, len(a.ids))


def _same_protocol(a: str, b: str) -> None:
    if a != b:
        raise UserError(f"{a} and {b} are different protocols and do not compare. Score both by one of them.")

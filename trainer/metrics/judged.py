"""Answers that a judge graded against a reference answer: the relative score of LLaVA-Bench and Ferret-Bench.

Protocol: the judge gives two grades, the reference's first; the score is the sum of the model's grades over
that of the reference's (haotian-liu/LLaVA, summarize_gpt_review.py). Grades that cannot be read are -1 -1
there and enter the mean; here they are kept out of it and counted. Traps: the judge and its prompt are part
of the protocol, so scores by another judge or by the original prompt do not compare.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gritmill.trainer.metrics.bootstrap import Counts
from gritmill.trainer.metrics.score import Outcomes, Question, answers_to


class Grades(NamedTuple):
    """Of the reference and of the answer, 1..10.

    >>> Grades(9, 7)
    """

    reference: float
    answer: float


def judged(
    questions: Sequence[Question[object]], grades: Mapping[str, Grades | None], judge: str
) -> Outcomes:
    """`judge/relative@gpt-4o-2024-11-20`: 1 is as good as the reference. None is what cannot be read."""
    given = answers_to(questions, grades)
    counts = [(g.answer, g.reference) if g else (0, 0) for g in given]
    return Outcomes.of(f"judge/relative@{judge}", questions, counts, [g is None for g in given], relative)


def relative(sums: Counts) -> float:
    """(answers' grades, references' grades) -> their ratio; 0 where nothing could be read."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0

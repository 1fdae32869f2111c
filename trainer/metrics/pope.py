"""POPE: does a model see objects that are not there? Questions of yes or no.

Protocol: the answer is its first word; the questions are of Li et al. 2023, arXiv:2305.10355. Traps:
the original script takes whatever does not say "no" for a yes; lmms-eval accepts nothing but the single word,
and its yes-ratio is that of the truths, always near one half. Random, popular and adversarial questions are
sets of their own.
"""

import re
from collections.abc import Mapping, Sequence

from gritmill.trainer.metrics.bootstrap import Counts, Statistic
from gritmill.trainer.metrics.score import Outcomes, Question, answers_to

_FIRST_WORD = re.compile(r"[\W_]*(yes|no)(?![^\W_])", re.IGNORECASE)


def first_word(text: str) -> bool | None:
    """ "Yes, there is." -> True; "**no**" -> False; "There is no dog.", "Not at all", "" -> None."""
    match = _FIRST_WORD.match(text)
    return None if match is None else match[1].lower() == "yes"


def pope(questions: Sequence[Question[bool]], answers: Mapping[str, str]) -> dict[str, Outcomes]:
    """`pope/first_word/accuracy`, `precision`, `recall`, `f1` and `yes_ratio`, by name.

    The positive class is yes. An unparsable answer is wrong, and neither yes nor no: it lowers the recall of
    yes and leaves its precision alone. `yes_ratio` is the share of all answers that say yes. A ratio
    of nothing, such as the precision of a model that never says yes, is 0.
    """
    words = [first_word(text) for text in answers_to(questions, answers)]
    counts = [
        (word == q.truth, word is True and q.truth, word is True, q.truth, 1)
        for word, q in zip(words, questions, strict=True)
    ]
    unparsable = [word is None for word in words]
    return {name: Outcomes.of(name, questions, counts, unparsable, how) for name, how in STATISTICS.items()}


# Sums of: right, right yeses, said yeses, true yeses, questions.


def _accuracy(sums: Counts) -> float:
    return float(sums[0] / sums[4])


def _precision(sums: Counts) -> float:
    return float(sums[1] / sums[2]) if sums[2] else 0.0


def _recall(sums: Counts) -> float:
    return float(sums[1] / sums[3]) if sums[3] else 0.0


def _f1(sums: Counts) -> float:
    either = sums[2] + sums[3]
    return float(2 * sums[1] / either) if either else 0.0


def _yes_ratio(sums: Counts) -> float:
    return float(sums[2] / sums[4])


STATISTICS: dict[str, Statistic] = {
    "pope/first_word/accuracy": _accuracy,
    "pope/first_word/precision": _precision,
    "pope/first_word/recall": _recall,
    "pope/first_word/f1": _f1,
    "pope/first_word/yes_ratio": _yes_ratio,
}
"""Protocol -> how the counts are summed up."""

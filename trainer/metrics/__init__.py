"""Metrics of grounding, each with its protocol in its name: pure functions of questions and answers.

>>> questions = [Question("q0", "000072.jpg", Box(0.1, 0.2, 0.5, 0.9))]
>>> answers = {"q0": [Box(0.1, 0.25, 0.5, 0.9), Box(0.0, 0.0, 1.0, 1.0)]}
>>> first_box(questions, answers).score(ceiling=0.998).value
1.0

A metric gives `Outcomes`, one row a question; `Outcomes.score` sums them up as a `Score`.
"""

from gritmill.trainer.metrics.baselines import best_constant_box, mean_box, shuffled_boxes
from gritmill.trainer.metrics.bootstrap import Interval, Statistic, share
from gritmill.trainer.metrics.judged import Grades, judged, relative
from gritmill.trainer.metrics.phrase_grounding import any_box, merged_box
from gritmill.trainer.metrics.pope import STATISTICS, pope
from gritmill.trainer.metrics.rec import THRESHOLDS, first_box
from gritmill.trainer.metrics.reg import bleu4, cider, meteor, rouge_l, text_scores
from gritmill.trainer.metrics.score import Difference, Outcomes, Question, Score, compare, paired_difference

__all__ = [
    "THRESHOLDS",
    "Difference",
    "Grades",
    "Interval",
    "Outcomes",
    "Question",
    "Score",
    "any_box",
    "best_constant_box",
    "bleu4",
    "cider",
    "compare",
    "first_box",
    "judged",
    "mean_box",
    "merged_box",
    "meteor",
    "paired_difference",
    "pope",
    "rouge_l",
    "shuffled_boxes",
    "statistic_of",
    "text_scores",
]


def statistic_of(protocol: str) -> Statistic:
    """How the counts of a protocol's outcomes are summed up, once they were saved without it."""
    name = protocol.partition("[")[0]
    if name.startswith("judge/relative@"):
        return relative
    return STATISTICS.get(name, share)

"""Referring expression comprehension: one expression, one true box; is the first box that was answered it?

Protocol: accuracy at IoU >= 0.5 over all expressions, as RefCOCO/+/g are reported (Yu et al. 2016,
arXiv:1608.00272; MDETR's finetune_refcoco*.json). Traps: choosing the answered box that fits the truth best
is an oracle (lmms-eval's `refcoco_grounding_*`); leaving unparsable answers out flatters.
"""

import math
from collections.abc import Mapping, Sequence

from gritmill.schemas.boxes import Box, iou
from gritmill.trainer.metrics.score import Outcomes, Question, answers_to

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Least IoU of a hit; 0.5 is what is published."""

# Whole pixels often overlap by exactly one half, which division by the image's size may round down.
ROUNDING = 1e-9


def first_box(
    questions: Sequence[Question[Box]], answers: Mapping[str, Sequence[Box]], threshold: float = 0.5
) -> Outcomes:
    """`rec/first_box@0.5`: the first box counts, others are ignored; no box, or one without area, is a miss.

    `answers` are boxes by question id, in the order in which the model wrote them.
    """
    firsts = [boxes[:1] for boxes in answers_to(questions, answers)]
    hits = [is_hit(boxes, [q.truth], threshold) for boxes, q in zip(firsts, questions, strict=True)]
    return Outcomes.of(
        f"rec/first_box@{threshold:g}",
        questions,
        [(hit, 1) for hit in hits],
        [not has_box(boxes) for boxes in firsts],
    )


def is_hit(boxes: Sequence[Box], truths: Sequence[Box], threshold: float) -> bool:
    """Whether any of the boxes meets any of the truths."""
    return any(iou(box, truth) >= threshold - ROUNDING for box in boxes for truth in truths)


def has_box(boxes: Sequence[Box]) -> bool:
    """Whether any of them is finite and has an area."""
    return any(0 < box.area < math.inf for box in boxes)

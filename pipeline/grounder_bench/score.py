"""Boxes found for phrases against those that people drew: average precision, recall, precision.

Matching is that of COCO's own evaluation (pycocotools, `COCOeval`) at IoU 0.5: a phrase's boxes take
their turn by falling score, each takes the free box of people's that it overlaps most, and a second box
on the same one is wrong. Every question stands for an image of its own.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gritmill.pipeline.grounder_bench.questions import GroundingQuestion
from gritmill.schemas.boxes import Box, coverage, iou, nms
from gritmill.schemas.columns import GroundedBox, Span

MIN_IOU = 0.5
RECALLS = np.linspace(0, 1, 101)
"""COCO's points of recall at which precision is averaged."""
THRESHOLDS = np.arange(101) / 100


class Judged(NamedTuple):
    """All boxes that were judged, and how many there were to find."""

    scores: npt.NDArray[np.float64]
    """[boxes], falling."""
    hits: npt.NDArray[np.bool_]
    """[boxes]: does it match a box of people's that no better one does?"""
    wanted: int


class AtThreshold(NamedTuple):
    """What is left where only boxes of `min_score` or more count.

    >>> AtThreshold(0.35, 0.62, 0.81)
    """

    min_score: float
    recall: float
    precision: float | None
    """None where nothing is left."""


def judge(
    questions: Sequence[GroundingQuestion], candidates: Sequence[Sequence[GroundedBox]], max_iou: float = 1.0
) -> Judged:
    """Each question against the candidates of its row that are for its span; the row's order counts
    where scores are equal. `max_iou` is for NMS among the boxes of a phrase, 1 leaves it out.
    """
    by_span = [_by_span(row) for row in candidates]
    found = [
        one
        for question in questions
        for one in _judged(question, by_span[question.row].get(question.span, []), max_iou)
    ]
    scores = np.array([score for score, _ in found], np.float64)
    order = np.argsort(-scores, kind="stable")
    hits = np.array([hit for _, hit in found], np.bool_)
    return Judged(scores[order], hits[order], sum(len(question.boxes) for question in questions))


def average_precision(judged: Judged) -> float:
    """COCO's, 0..1: the highest precision at each of 101 recalls or beyond, averaged."""
    if not len(judged.hits):
        return 0.0
    true = np.cumsum(judged.hits)
    precision = true / np.arange(1, len(true) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true / judged.wanted, RECALLS, side="left")
    return float(np.append(best, 0.0)[places].mean())


def at_threshold(judged: Judged, min_score: float) -> AtThreshold:
    """Recall and precision, 0..1, of the boxes of `min_score` or more."""
    chosen = judged.hits[judged.scores >= min_score]
    true = int(chosen.sum())
    return AtThreshold(min_score, true / judged.wanted, true / len(chosen) if len(chosen) else None)


def at_best_threshold(judged: Judged) -> AtThreshold:
    """At the lowest of 0.00, 0.01, ... 1.00 that has the highest F1."""
    return max((at_threshold(judged, float(t)) for t in THRESHOLDS), key=_f1)


def _f1(at: AtThreshold) -> float:
    total = at.recall + (at.precision or 0.0)
    return 2 * at.recall * (at.precision or 0.0) / total if total else 0.0


def _by_span(row: Sequence[GroundedBox]) -> dict[Span, list[GroundedBox]]:
    """The candidates of each span, cut at the image's edge, without those that `select_boxes` passes over."""
    found: dict[Span, list[GroundedBox]] = {}
    for candidate in row:
        box = candidate.box.clipped()
        if all(map(math.isfinite, (*candidate.box, candidate.score))) and box.is_valid:
            found.setdefault(candidate.span, []).append(candidate._replace(box=box))
    return found


def _judged(
    question: GroundingQuestion, found: list[GroundedBox], max_iou: float
) -> list[tuple[float, bool]]:
    """(score, is right) of each box that counts, by falling score."""
    free = list(question.boxes)
    judged = []
    boxes = [candidate.box for candidate in found]
    for i in nms(boxes, [candidate.score for candidate in found], max_iou):
        match = _best(boxes[i], free)
        if match is not None:
            del free[match]
        elif any(coverage(boxes[i], crowd) >= MIN_IOU for crowd in question.crowds):
            continue
        judged.append((found[i].score, match is not None))
    return judged


def _best(box: Box, free: Sequence[Box]) -> int | None:
    overlaps = [iou(box, other) for other in free]
    best = max(range(len(free)), key=lambda i: overlaps[i], default=None)
    return None if best is None or overlaps[best] < MIN_IOU else best

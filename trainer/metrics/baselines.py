"""What answers without a look at the image score: the bar that a grounding model must clear.

Scored by the same functions as a model, with `{q.id: [box] for q in questions}` for answers.
"""

import itertools
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gritmill.schemas.boxes import Box
from gritmill.trainer.metrics.rec import ROUNDING

Boxes = NDArray[np.float64]
"""n x (x1, y1, x2, y2)."""

GRID = 16
"""Corners that are tried first lie on a grid of so many cells a side."""
SAMPLE = 1000
"""So many of the truths choose where to start."""
CLIMBERS = 8
"""So many of the best boxes on the grid are moved on in finer steps."""


def best_constant_box(truths: Sequence[Box], threshold: float = 0.5) -> Box:
    """The one box that meets most of the truths; of several, the one with the best mean IoU.

    Searched on the very set that is scored, it is the strictest bar. All boxes of a grid, the mean and the
    truths themselves, then hill climbing down to 1/256: a good answer, not a proven optimum.
    """
    targets = np.array(truths, dtype=np.float64)
    lines = np.linspace(0, 1, GRID + 1)
    sides = list(itertools.combinations(lines, 2))
    grid = np.array([(x1, y1, x2, y2) for x1, x2 in sides for y1, y2 in sides])
    sample = targets[:: -(-len(targets) // SAMPLE)]
    starts = np.vstack((grid, sample, targets.mean(axis=0)))
    worths = _worth(starts, sample, threshold)
    best = np.argsort(-worths, kind="stable")[:CLIMBERS]
    climbed = np.array([_climb(starts[row], targets, threshold) for row in best])
    return Box(*climbed[np.argmax(_worth(climbed, targets, threshold))].tolist())


def mean_box(truths: Sequence[Box]) -> Box:
    """The mean of each coordinate."""
    return Box(*np.array(truths, dtype=np.float64).mean(axis=0).tolist())


def shuffled_boxes(truths: Sequence[Box], seed: int = 0) -> list[Box]:
    """For each question the true box of another one: right sizes and places, on the wrong questions."""
    order = list(range(len(truths)))
    random.Random(seed).shuffle(order)  # noqa: S311 (a baseline, no secret)
    answer = dict(zip(order, order[1:] + order[:1], strict=True))
    return [truths[answer[row]] for row in range(len(truths))]


def _climb(box: Boxes, targets: Boxes, threshold: float) -> Boxes:
    moves = np.array(list(itertools.product((0, -1, 1), repeat=4)))
    for step in (1 / 32, 1 / 64, 1 / 128, 1 / 256):
        while True:
            near = np.clip(box + step * moves, 0, 1)
            best = near[np.argmax(_worth(near, targets, threshold))]
            if np.array_equal(best, box):
                break
            box = best
    return box


def _worth(candidates: Boxes, targets: Boxes, threshold: float) -> NDArray[np.float64]:
    """Hits, and the mean IoU behind the decimal point."""
    rows = max(1, 500_000 // len(targets))
    chunks = (candidates[start : start + rows] for start in range(0, len(candidates), rows))
    ious = (_ious(chunk, targets) for chunk in chunks)
    return np.concatenate([(iou >= threshold - ROUNDING).sum(axis=1) + iou.mean(axis=1) for iou in ious])


def _ious(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """IoU of each of `a` with each of `b`; 0 for boxes without area."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas_a, areas_b = (np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (a, b))
    union = areas_a[:, None] + areas_b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)

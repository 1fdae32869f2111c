"""What a dialect's rounding costs before any model errs: the best score that perfect answers get."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.dialects.base import Dialect
from gritmill.schemas.dialects.geometry import Size

SIDES = (0.03, 0.05, 0.1, 0.2, 0.5)
"""Sides of the boxes that are tried, in shares of the image's; at most 0.7."""

PHOTOGRAPH: Size = (640, 480)
"""The usual size in COCO."""


class Ceiling(NamedTuple):
    """Of boxes that are written and read again.

    >>> ceiling(DIALECTS["kosmos2"], 0.1)
    Ceiling(mean_iou=0.736, at_50=1.0, at_75=0.438, at_90=0.034)
    """

    mean_iou: float
    at_50: float
    """Share whose IoU with the original is at least 0.5."""
    at_75: float
    at_90: float


def ceiling(dialect: Dialect, side: float, boxes: int = 500, size: Size = PHOTOGRAPH) -> Ceiling:
    """Writes and reads boxes of about one size at random places, the same for every dialect.

    A box that the geometry crops away counts as lost.
    """
    return ceiling_of(dialect, [(box, size) for box in _anywhere(side, boxes)])


def ceiling_of(dialect: Dialect, boxes: Sequence[tuple[Box, Size]]) -> Ceiling:
    """The same for boxes that one has, each with the size of its image; at least one."""
    scores = [_survival(dialect, box, size) for box, size in boxes]
    shares = (sum(score >= least for score in scores) / len(scores) for least in (0.5, 0.75, 0.9))
    return Ceiling(sum(scores) / len(scores), *shares)


def _survival(dialect: Dialect, box: Box, size: Size) -> float:
    read = dialect.parse(dialect.encode_boxes([box], size), size).boxes
    return iou(box, read[0]) if read else 0.0


def _anywhere(side: float, count: int) -> list[Box]:
    """Sides of 0.7 to 1.4 times `side`: boxes of exactly one size would all meet the grid in the same way."""
    rng = random.Random(0)  # noqa: S311 (places of boxes, no secret)
    boxes = []
    for _ in range(count):
        width, height = side * rng.uniform(0.7, 1.4), side * rng.uniform(0.7, 1.4)
        x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        boxes.append(Box(x, y, x + width, y + height))
    return boxes

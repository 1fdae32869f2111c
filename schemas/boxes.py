"""Boxes and the one place where coordinates change.

A `Box` is (x1, y1, x2, y2), floats in 0..1 of the whole, uncropped, unpadded image as a viewer
sees it (EXIF orientation applied), origin top left. Pixels, grids, 0..999 and padding exist only
at the edges, and every way in or out is a function of this module.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self


class Point(NamedTuple):
    """A place in 0..1 of the whole image.

    >>> Point(0.43, 0.5)
    """

    x: float
    y: float


class Box(NamedTuple):
    """Corners of a region, in 0..1 of the image: `Box(0.25, 0.1, 0.75, 0.9)`."""

    x1: float
    y1: float
    x2: float
    y2: float

    @classmethod
    def from_pixels(cls, x1: float, y1: float, x2: float, y2: float, width: float, height: float) -> Self:
        """Pixel corners of an image of `width` x `height` -> 0..1 (not clipped)."""
        return cls(x1 / width, y1 / height, x2 / width, y2 / height)

    @classmethod
    def from_xywh_pixels(cls, x: float, y: float, w: float, h: float, width: float, height: float) -> Self:
        """COCO's `bbox` (left, top, box width, box height, in pixels) -> 0..1 (not clipped)."""
        return cls(x / width, y / height, (x + w) / width, (y + h) / height)

    @classmethod
    def from_center(cls, cx: float, cy: float, w: float, h: float) -> Self:
        """DETR's (centre x, centre y, width, height), already in 0..1 -> corners (not clipped)."""
        return cls(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)

    def to_pixels(self, width: float, height: float) -> tuple[float, float, float, float]:
        """0..1 -> pixel corners."""
        x1, y1, x2, y2 = self
        return (x1 * width, y1 * height, x2 * width, y2 * height)

    def to_xywh_pixels(self, width: float, height: float) -> tuple[float, float, float, float]:
        """0..1 -> COCO's `bbox` (left, top, box width, box height) in pixels."""
        x1, y1, x2, y2 = self
        return (x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height)

    def scaled(self, sx: float, sy: float) -> Self:
        """Each coordinate times the factor of its axis, such as undoing a padding to a square."""
        x1, y1, x2, y2 = self
        return type(self)(x1 * sx, y1 * sy, x2 * sx, y2 * sy)

    def clipped(self) -> Self:
        """The part of the box that lies in the image; may have no area."""
        return type(self)(*(min(max(float(v), 0.0), 1.0) for v in self))

    @property
    def is_valid(self) -> bool:
        """True for finite corners inside 0..1, in order, with some area."""
        x1, y1, x2, y2 = self
        return all(map(math.isfinite, self)) and 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1

    @property
    def area(self) -> float:
        """Share of the image covered, 0..1; 0 for an empty or inverted box."""
        return max(self.x2 - self.x1, 0.0) * max(self.y2 - self.y1, 0.0)


def outline_from_pixels(points: Sequence[float], width: float, height: float) -> list[float]:
    """COCO's polygon (x, y, x, y, ... in pixels) -> the same in 0..1, clipped to the image."""
    return [min(max(v / (height if i % 2 else width), 0.0), 1.0) for i, v in enumerate(points)]


def outline_to_pixels(points: Sequence[float], width: float, height: float) -> list[float]:
    """An outline in 0..1 -> COCO's polygon in pixels, to the hundredth as in COCO's own files."""
    return [round(v * (height if i % 2 else width), 2) for i, v in enumerate(points)]


def intersection(a: Box, b: Box) -> float:
    """Area that two boxes share, in 0..1 of the image."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(width, 0.0) * max(height, 0.0)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1; 0 where both are empty."""
    shared = intersection(a, b)
    union = a.area + b.area - shared
    return shared / union if union > 0 else 0.0


def coverage(inner: Box, outer: Box) -> float:
    """Share of `inner` that lies in `outer`, 0..1."""
    return intersection(inner, outer) / inner.area if inner.area > 0 else 0.0


def nms(boxes: Sequence[Box], scores: Sequence[float], max_iou: float) -> list[int]:
    """Greedy non-maximum suppression: the indices kept, best score first.

    A box goes when it overlaps a better one by more than `max_iou`. Equal scores: the earlier wins,
    so that the result does not depend on the sort.
    """
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[i], boxes[j]) <= max_iou for j in kept):
            kept.append(i)
    return kept

"""The shapes of a scene as outlines: exact boxes, point tests and polygons to paint all come from here.

A shape lives in a frame of its own: origin at its centre, y down, everything within the unit circle.
Curves are polygons of `STEPS` corners, which keeps a box right to a five-hundredth of the radius.
"""

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Polygon = tuple[Point, ...]
Points = NDArray[np.float64]
"""n x 2: x and y of each."""
Mask = NDArray[np.bool_]
Raster = NDArray[np.bool_]

STEPS = 48
GRID = 32
"""Cells a side of the raster that answers point tests."""
CENTRES: Points = (np.indices((GRID, GRID))[::-1].reshape(2, -1).T.astype(np.float64) + 0.5) * (2 / GRID) - 1
"""Centres of the raster's cells, row by row."""


class Detail(NamedTuple):
    """Something painted on a shape, never beyond its outline."""

    polygon: Polygon
    shade: float
    """How far its colour is from the fill's, 0..1."""


class Shape(NamedTuple):
    """One kind of object."""

    outline: Polygon
    hole: Polygon = ()
    details: tuple[Detail, ...] = ()
    turn: int = 0
    """It may stand askew by up to so many degrees, either way, and still be what it is called."""


class Silhouette(NamedTuple):
    """A shape turned by some degrees."""

    outline: Polygon
    hole: Polygon
    details: tuple[Detail, ...]
    extent: tuple[float, float, float, float]
    """Least and greatest x and y: x1, y1, x2, y2."""
    cells: Raster
    """`GRID` x `GRID` cells over -1..1, True where the shape is."""
    points: Points
    """Some points spread evenly over the shape, to measure areas with."""

    def covers(self, points: Points) -> Mask:
        """Which of the points, given in the shape's frame, lie on the shape."""
        columns, rows = np.floor((points + 1) * (GRID / 2)).astype(np.intp).T
        known = (columns >= 0) & (columns < GRID) & (rows >= 0) & (rows < GRID)
        return known & self.cells[np.where(known, rows, 0), np.where(known, columns, 0)]


@cache
def silhouette(noun: str, degrees: int = 0) -> Silhouette:
    """The shape of this name, turned clockwise; scenes turn by steps of 5, so few are ever made."""
    shape = SHAPES[noun]
    outline = _turned(shape.outline, degrees)
    hole = _turned(shape.hole, degrees)
    xs, ys = zip(*outline, strict=True)
    cells = _holds(outline, CENTRES) != _holds(hole, CENTRES)
    return Silhouette(
        outline=outline,
        hole=hole,
        details=tuple(Detail(_turned(d.polygon, degrees), d.shade) for d in shape.details),
        extent=(min(xs), min(ys), max(xs), max(ys)),
        cells=cells.reshape(GRID, GRID),
        points=CENTRES[cells][::2],
    )


def clipped(polygon: Iterable[Point], width: float, height: float) -> list[Point]:
    """The part of a polygon inside 0..width, 0..height (Sutherland and Hodgman 1974).

    Exact where the polygon crosses one side, as scenes make sure; a concave one that crosses two
    may gain the corner between them.
    """
    points = list(polygon)
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        if all(sign * (point[axis] - limit) >= 0 for point in points):
            continue
        kept: list[Point] = []
        for i, here in enumerate(points):
            before = points[i - 1]
            d_here, d_before = sign * (here[axis] - limit), sign * (before[axis] - limit)
            if (d_here < 0) != (d_before < 0):
                t = d_before / (d_before - d_here)
                kept.append((before[0] + t * (here[0] - before[0]), before[1] + t * (here[1] - before[1])))
            if d_here >= 0:
                kept.append(here)
        points = kept
    return points


def _holds(polygon: Polygon, points: Points) -> Mask:
    """Which points lie in the polygon. Even-odd rule: a ray from them crosses it an odd number of times."""
    inside = np.zeros(len(points), dtype=bool)
    x, y = points.T
    for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside


def _turned(polygon: Polygon, degrees: int) -> Polygon:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((x * cos - y * sin, x * sin + y * cos) for x, y in polygon)


def _polar(radius: Callable[[float], float], steps: int = STEPS, x: float = 0, y: float = 0) -> Polygon:
    """Points at `radius(angle)` from (x, y), clockwise from the top."""
    angles = [2 * math.pi * i / steps for i in range(steps)]
    return tuple((x + radius(a) * math.sin(a), y - radius(a) * math.cos(a)) for a in angles)


def _regular(corners: int, radius: float = 1, x: float = 0, y: float = 0) -> Polygon:
    return _polar(lambda _: radius, corners, x, y)


def _disc(radius: float, x: float = 0, y: float = 0) -> Polygon:
    return _regular(STEPS, radius, x, y)


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> Polygon:
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def _star() -> Polygon:
    corners = _regular(10)
    return tuple((x, y) if i % 2 == 0 else (x * 0.45, y * 0.45) for i, (x, y) in enumerate(corners))


def _heart() -> Polygon:
    angles = [2 * math.pi * i / STEPS for i in range(STEPS)]
    return tuple(
        (
            16 * math.sin(a) ** 3 / 18.7,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a) + 2.5) / 18.7,
        )
        for a in angles
    )


def _crescent() -> Polygon:
    """A disc less a smaller one beside it: along the outer rim from tip to tip, and back inside."""
    inner, shift = 0.8, 0.42
    tip_x = (1 - inner**2 + shift**2) / (2 * shift)
    outer_tip = math.acos(tip_x)
    inner_tip = math.acos((tip_x - shift) / inner)
    half = STEPS // 2
    rim = [outer_tip + (2 * math.pi - 2 * outer_tip) * i / half for i in range(half + 1)]
    bite = [2 * math.pi - inner_tip - (2 * math.pi - 2 * inner_tip) * i / half for i in range(1, half)]
    return tuple(
        [(math.cos(a), math.sin(a)) for a in rim]
        + [(shift + inner * math.cos(a), inner * math.sin(a)) for a in bite]
    )


def _cross() -> Polygon:
    a, b = 0.28, 0.92
    return (
        (-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a),
        (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a),
    )  # fmt: skip


HOLE = 0.62
"""Inner radius of a ring whose outer radius is 1."""

_HOUSE: Polygon = (
    (-0.62, 0.75),
    (-0.62, -0.15),
    (-0.8, -0.15),
    (0, -0.95),
    (0.8, -0.15),
    (0.62, -0.15),
    (0.62, 0.75),
)
_ROOF: Polygon = ((-0.8, -0.15), (0, -0.95), (0.8, -0.15))
_TREE: Polygon = (
    (-0.14, 0.95), (-0.14, 0.5), (-0.68, 0.5), (-0.28, 0.02), (-0.54, 0.02), (0, -0.98),
    (0.54, 0.02), (0.28, 0.02), (0.68, 0.5), (0.14, 0.5), (0.14, 0.95),
)  # fmt: skip
_CUBE = _regular(6, 0.98)
_MIDDLE: Point = (0, 0)

SHAPES: dict[str, Shape] = {
    "circle": Shape(_disc(1)),
    "square": Shape(_rectangle(-0.7, -0.7, 0.7, 0.7), turn=15),
    "triangle": Shape(_regular(3), turn=25),
    "star": Shape(_star(), turn=35),
    "ring": Shape(_disc(1), hole=_disc(HOLE)),
    "cross": Shape(_cross(), turn=15),
    "hexagon": Shape(_regular(6), turn=30),
    "heart": Shape(_heart(), turn=20),
    "crescent": Shape(_crescent(), turn=40),
    "diamond": Shape(((0, -1), (0.62, 0), (0, 1), (-0.62, 0)), turn=10),
    "arrow": Shape(
        ((-0.95, -0.22), (0.15, -0.22), (0.15, -0.65), (0.98, 0), (0.15, 0.65), (0.15, 0.22), (-0.95, 0.22)),
        turn=180,
    ),
    "flower": Shape(
        _polar(lambda a: 0.78 + 0.22 * math.cos(6 * a)), details=(Detail(_disc(0.3), 0.6),), turn=30
    ),
    "house": Shape(
        _HOUSE,
        details=(
            Detail(_ROOF, 0.35),
            Detail(_rectangle(-0.14, 0.2, 0.18, 0.75), 0.6),
            Detail(_rectangle(-0.48, 0.08, -0.24, 0.34), 0.6),
        ),
    ),
    "tree": Shape(_TREE, details=(Detail(_rectangle(-0.14, 0.5, 0.14, 0.95), 0.55),), turn=5),
    "ball": Shape(
        _disc(1),
        details=(
            Detail(_polar(lambda a: 1 if a < math.pi / 3 or 2 * math.pi / 3 <= a < math.pi else 0), 0.4),
            Detail(_disc(0.2), 0.7),
        ),
        turn=60,
    ),
    "box": Shape(
        _CUBE,
        details=(
            Detail((_MIDDLE, _CUBE[5], _CUBE[0], _CUBE[1]), 0.2),
            Detail((_MIDDLE, _CUBE[1], _CUBE[2], _CUBE[3]), 0.5),
        ),
    ),
}
"""Every noun of a scene. Also its annotation label."""

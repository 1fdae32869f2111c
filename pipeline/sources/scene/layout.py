"""What is in a scene and where: pure geometry, nothing is painted here.

Lengths are in units of the longer side of the image, so that a scene has no pixels; x to the right,
y down, origin top left.
"""

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from gritmill.pipeline.sources.scene.colours import SKY_AND_GRASS, TONES, Tone, visible_on
from gritmill.pipeline.sources.scene.shapes import HOLE, SHAPES, Mask, Points, clipped, silhouette
from gritmill.schemas.boxes import Box

SIZES: dict[str, tuple[float, float]] = {
    "small": (0.065, 0.085),
    "medium": (0.115, 0.135),
    "large": (0.175, 0.21),
}
"""Radius, from and to."""
ASPECTS = ((1.0, 1.0), (1.0, 1.0), (1.0, 0.75), (0.75, 1.0))
PATTERNS = ("plain", "gradient", "stripes", "checker", "speckles", "meadow")

MIN_VISIBLE = 0.62
"""Every object shows at least this share of itself."""
MIN_OVERLAP = 0.08
"""An object that hides at least this share of another is in front of it."""
TRIES = 30

_NOUNS = tuple(SHAPES)
_SIZES = tuple(SIZES)


class Background(NamedTuple):
    """What is behind everything."""

    pattern: str
    tone: Tone


class Thing(NamedTuple):
    """One object of a scene."""

    noun: str
    colour: str
    size: str
    outlined: bool
    radius: float
    degrees: int
    x: float
    y: float
    box: Box
    """Tight around what of it lies in the image, whether or not something covers it; 0..1 of the image."""

    @property
    def points(self) -> Points:
        """Points of the scene that are spread evenly over the object."""
        return silhouette(self.noun, self.degrees).points * self.radius + (self.x, self.y)

    def covers(self, points: Points) -> Mask:
        """Which points of the scene the object lies over."""
        return silhouette(self.noun, self.degrees).covers((points - (self.x, self.y)) / self.radius)


class Scene(NamedTuple):
    """A picture before it is painted."""

    width: float
    height: float
    background: Background
    things: tuple[Thing, ...]
    """From back to front."""
    grain: int
    """Seeds whatever of the picture nobody speaks of, such as the pitch of stripes."""


def compose(rng: Random, min_objects: int, max_objects: int) -> Scene:
    """A random scene with so many objects, none of them mostly hidden."""
    width, height = rng.choice(ASPECTS)
    pattern = rng.choice(PATTERNS)
    tone = SKY_AND_GRASS if pattern == "meadow" else rng.choice(TONES)
    count = rng.randint(min_objects, max_objects)
    things: list[Thing] = []
    while len(things) < count:
        thing = _next(rng, things, visible_on(tone), width, height)
        if thing is None:
            things = []  # No room: rare, so starting over is the simplest way out.
        else:
            things.append(thing)
    return Scene(width, height, Background(pattern, tone), tuple(things), rng.getrandbits(32))


def visible_share(thing: Thing, front: Sequence[Thing], width: float, height: float) -> float:
    """Share of an object, 0..1, that lies in the image and that nothing in front of it covers."""
    points = thing.points
    seen = ((points >= 0) & (points <= (width, height))).all(axis=1)
    for other in front:
        if meet(thing.box, other.box):
            seen &= ~other.covers(points)
    return float(seen.mean())


def meet(a: Box, b: Box) -> bool:
    """True if two boxes share some area."""
    return a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2


def hidden_by(thing: Thing, other: Thing) -> float:
    """Share of an object, 0..1, that another one would cover if it were in front."""
    return float(other.covers(thing.points).mean()) if meet(thing.box, other.box) else 0.0


def _next(
    rng: Random, things: list[Thing], colours: tuple[str, ...], width: float, height: float
) -> Thing | None:
    """One more object, in front of those already there; None if no place is found."""
    noun, colour, size = rng.choice(_NOUNS), rng.choice(colours), rng.choice(_SIZES)
    if things and rng.random() < 0.35:  # Another one of those.
        twin = rng.choice(things)
        noun = twin.noun
        colour = twin.colour if rng.random() < 0.6 else colour
        size = twin.size if rng.random() < 0.6 else size
    if noun == "ring" and rng.random() < 0.5:
        size = "large"  # Room for something inside.
    outlined = rng.random() < 0.35
    turn = SHAPES[noun].turn
    degrees = rng.randrange(-turn, turn + 1, 5) if rng.random() < 0.5 else 0
    place, partner = _wish(rng, things)
    if partner and partner.colour == colour:
        outlined = True  # Or nobody could tell the two apart.
    for attempt in range(TRIES):
        if attempt == TRIES // 2:
            size, place, partner = "small", "free", None
        radius = rng.uniform(*SIZES[size])
        x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
        if place == "edge":
            x = rng.choice((0.45 * radius, width - 0.45 * radius))
        elif partner and place == "inside":
            size, radius = "small", rng.uniform(SIZES["small"][0], 0.8 * HOLE * partner.radius)
            x, y = partner.x, partner.y
        elif partner:
            direction, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.55, 0.95)
            x = partner.x + math.cos(direction) * reach * (partner.radius + radius)
            y = partner.y + math.sin(direction) * reach * (partner.radius + radius)
            if not (radius <= x <= width - radius and radius <= y <= height - radius):
                continue
        box = tight_box(noun, degrees, radius, x, y, width, height)
        thing = Thing(noun, colour, size, outlined, radius, degrees, x, y, box)
        if _fits(thing, things, place, partner, width, height):
            return thing._replace(box=rounded(box))
    return None


def rounded(box: Box) -> Box:
    """Digits that mean nothing would only fill the metadata."""
    return Box(*(round(v, 6) for v in box))


def _wish(rng: Random, things: list[Thing]) -> tuple[str, Thing | None]:
    """Where the next object would like to be, and which one it has to do with."""
    rings = [thing for thing in things if thing.noun == "ring" and thing.size == "large"]
    roll = rng.random()
    if rings and roll < 0.5:
        return "inside", rings[0]
    if things and roll < 0.3:
        return "over", rng.choice(things)
    return ("edge" if roll > 0.92 else "free"), None


def _fits(
    thing: Thing, things: list[Thing], place: str, partner: Thing | None, width: float, height: float
) -> bool:
    """True if the object touches none but its partner, and no object is hidden too much."""
    if any(other is not partner and meet(thing.box, other.box) for other in things):
        return False
    if place == "edge":
        return visible_share(thing, (), width, height) >= MIN_VISIBLE
    if partner and place == "inside":
        return hidden_by(partner, thing) == 0
    if partner:
        front = [*things[things.index(partner) + 1 :], thing]
        return (
            hidden_by(partner, thing) >= MIN_OVERLAP
            and visible_share(partner, front, width, height) >= MIN_VISIBLE
        )
    return True


def tight_box(noun: str, degrees: int, radius: float, x: float, y: float, width: float, height: float) -> Box:
    """The box around what of a shape lies in the image, 0..1 of it."""
    shape = silhouette(noun, degrees)
    x1, y1, x2, y2 = shape.extent
    x1, y1, x2, y2 = x + radius * x1, y + radius * y1, x + radius * x2, y + radius * y2
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return Box.from_pixels(x1, y1, x2, y2, width, height)
    # What is cut off may be what reached highest, so the extent has to be measured anew.
    inside = clipped([(x + radius * u, y + radius * v) for u, v in shape.outline], width, height)
    xs, ys = zip(*inside, strict=True)
    return Box.from_pixels(min(xs), min(ys), max(xs), max(ys), width, height).clipped()

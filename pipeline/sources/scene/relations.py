"""What is true of two objects of a scene, by rules strict enough that an onlooker would agree."""

from collections.abc import Sequence

from gritmill.pipeline.sources.scene.layout import MIN_OVERLAP, Scene, Thing, hidden_by, meet
from gritmill.pipeline.sources.scene.shapes import HOLE

NEAR = 0.06
"""Widest gap between things that are near each other, in lengths of the image's longer side."""
CLEARLY = 1.3
"""What is larger is larger by at least this factor."""
MAINLY = 1.4
"""What is to the left is so many times farther to the left than up or down."""


def shared(scene: Scene, some: Sequence[int], others: Sequence[int]) -> list[str]:
    """The relations that each of `some` has to each of `others`, both by index into the scene."""
    pairs = [relations(scene, i, j) for i in some for j in others]
    return [name for name in pairs[0] if all(name in pair for pair in pairs)]


def relations(scene: Scene, i: int, j: int) -> list[str]:
    """What object `i` is to object `j`: left, right, above, below, beside, near, front, behind,
    inside, around, smaller, larger."""
    a, b = scene.things[i], scene.things[j]
    found = _directions(scene, a, b)
    if meet(a.box, b.box):
        found += _overlaps(a, b) if i > j else [_CONVERSE[name] for name in _overlaps(b, a)]
    else:
        found += _closeness(scene, a, b)
    if a.radius * CLEARLY <= b.radius:
        found.append("smaller")
    elif b.radius * CLEARLY <= a.radius:
        found.append("larger")
    return found


_CONVERSE = {"front": "behind", "inside": "around"}


def _directions(scene: Scene, a: Thing, b: Thing) -> list[str]:
    """The main direction, if there clearly is one and neither reaches to the other's middle."""
    (ax, ay), (bx, by) = _middle(a), _middle(b)
    across, down = abs(ax - bx) * scene.width, abs(ay - by) * scene.height
    if across >= MAINLY * down:
        if a.box.x2 <= bx and ax <= b.box.x1:
            return ["left"]
        if b.box.x2 <= ax and bx <= a.box.x1:
            return ["right"]
    elif down >= MAINLY * across:
        if a.box.y2 <= by and ay <= b.box.y1:
            return ["above"]
        if b.box.y2 <= ay and by <= a.box.y1:
            return ["below"]
    return []


def _overlaps(front: Thing, back: Thing) -> list[str]:
    """How two things whose boxes meet lie, seen from the one in front."""
    if hidden_by(back, front) >= MIN_OVERLAP:
        return ["front"]
    apart = ((front.x - back.x) ** 2 + (front.y - back.y) ** 2) ** 0.5
    return ["inside"] if back.noun == "ring" and apart + front.radius <= HOLE * back.radius else []


def _closeness(scene: Scene, a: Thing, b: Thing) -> list[str]:
    gap_x = max(b.box.x1 - a.box.x2, a.box.x1 - b.box.x2) * scene.width
    gap_y = max(b.box.y1 - a.box.y2, a.box.y1 - b.box.y2) * scene.height
    if max(gap_x, gap_y) > NEAR:
        return []
    # Side by side, and not one above the other.
    return ["near", "beside"] if gap_x >= 0 > gap_y + min(a.radius, b.radius) else ["near"]


def _middle(thing: Thing) -> tuple[float, float]:
    box = thing.box
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2

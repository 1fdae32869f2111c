"""Simple scenes, for models that learn from nothing: upright shapes apart from each other, no noun twice.

Each caption lists every object by size, colour and noun, so that each has an expression of its own.
"""

from random import Random

from gritmill.pipeline.sources.scene.captions import Caption, ScenePhrase
from gritmill.pipeline.sources.scene.colours import COLOURS, TONES, visible_on
from gritmill.pipeline.sources.scene.layout import Background, Scene, Thing, meet, rounded, tight_box
from gritmill.schemas.columns import Span

NOUNS = ("circle", "square", "triangle", "star", "cross", "heart")
SIZES = {"small": (0.09, 0.11), "large": (0.17, 0.21)}
"""Radius in widths of the image, from and to."""
OPENINGS = ("", "", "There is ", "Here we see ", "A picture of ")
TRIES = 30


def compose_simple(
    rng: Random, min_objects: int, max_objects: int, among: tuple[str, ...] = tuple(COLOURS)
) -> Scene:
    """A random square scene on a plain background with so many objects, six at most, of these colours."""
    tone = rng.choice([tone for tone in TONES if visible_on(tone, among)])
    count = rng.randint(min_objects, max_objects)
    colours = visible_on(tone, among)
    things: list[Thing] = []
    while len(things) < count:
        things = []  # No room: rare, so starting over is the simplest way out.
        for noun in rng.sample(NOUNS, count):
            if thing := _placed(rng, noun, colours, things):
                things.append(thing)
    return Scene(1.0, 1.0, Background("plain", tone), tuple(things), rng.getrandbits(32))


def list_things(scene: Scene, rng: Random, count: int) -> list[Caption]:
    """So many captions, each in an order of its own: "There is a small red circle and a large blue star."."""
    return [_listed(scene, rng) for _ in range(count)]


def _placed(rng: Random, noun: str, colours: tuple[str, ...], things: list[Thing]) -> Thing | None:
    """An object that touches none of those there are; None if no place is found."""
    for _ in range(TRIES):
        size = rng.choice(tuple(SIZES))
        radius = rng.uniform(*SIZES[size])
        x, y = rng.uniform(radius, 1 - radius), rng.uniform(radius, 1 - radius)
        box = tight_box(noun, 0, radius, x, y, 1.0, 1.0)
        if not any(meet(box, other.box) for other in things):
            return Thing(noun, rng.choice(colours), size, False, radius, 0, x, y, rounded(box))
    return None


def _listed(scene: Scene, rng: Random) -> Caption:
    text = rng.choice(OPENINGS)
    phrases: list[ScenePhrase] = []
    order = rng.sample(range(len(scene.things)), len(scene.things))
    for place, i in enumerate(order):
        thing = scene.things[i]
        if place:
            text += " and " if i == order[-1] else ", "
        words = f"a {thing.size} {thing.colour} {thing.noun}"
        phrases.append(ScenePhrase(Span(len(text), len(text) + len(words)), (i,)))
        text += words
    return Caption(f"{text[0].upper()}{text[1:]}.", phrases)

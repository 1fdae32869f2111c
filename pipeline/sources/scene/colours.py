"""The colours of objects and backgrounds, and which of them can be told apart."""

from functools import cache
from typing import Literal, NamedTuple

RGB = tuple[int, int, int]

Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"]

COLOURS: dict[str, RGB] = {
    "red": (214, 32, 38),
    "orange": (245, 132, 20),
    "yellow": (250, 214, 30),
    "green": (28, 150, 60),
    "blue": (28, 78, 208),
    "purple": (122, 40, 160),
    "pink": (248, 130, 178),
    "brown": (118, 70, 32),
    "black": (18, 18, 20),
    "white": (252, 252, 252),
}


class Tone(NamedTuple):
    """A background's two colours, near each other, and what one calls them."""

    name: str
    first: RGB
    second: RGB


TONES = (
    Tone("gray", (186, 188, 194), (164, 166, 174)),
    Tone("beige", (232, 218, 190), (214, 197, 165)),
    Tone("light blue", (196, 220, 240), (166, 198, 228)),
    Tone("light green", (206, 230, 200), (178, 212, 172)),
    Tone("lavender", (222, 210, 238), (200, 184, 222)),
    Tone("dark blue", (24, 32, 62), (40, 50, 88)),
    Tone("dark gray", (56, 57, 62), (76, 77, 84)),
)
SKY_AND_GRASS = Tone("green", (170, 212, 246), (104, 176, 78))

MIN_CONTRAST = 165
"""Least distance between an object's colour and both colours of its background; found by looking."""


@cache
def visible_on(tone: Tone, among: tuple[str, ...] = tuple(COLOURS)) -> tuple[str, ...]:
    """The colours that stand out from a background."""
    return tuple(
        name
        for name, colour in COLOURS.items()
        if name in among and min(distance(colour, tone.first), distance(colour, tone.second)) >= MIN_CONTRAST
    )


def distance(a: RGB, b: RGB) -> float:
    """How different two colours look, 0..765: the "redmean" approximation of Riemersma, "Colour metric"."""
    red = (a[0] + b[0]) / 2
    dr, dg, db = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return ((2 + red / 256) * dr**2 + 4 * dg**2 + (2 + (255 - red) / 256) * db**2) ** 0.5


def shaded(colour: RGB, amount: float, tone: Tone) -> RGB:
    """The colour moved by `amount` (0..1) away from its background: towards black on a light one.

    Black and white can only move towards it, so they do by half as much.
    """
    target = 0 if sum(tone.first) > 384 else 255
    if abs(sum(colour) - 3 * target) < 60:
        target, amount = 255 - target, amount / 2
    red, green, blue = (round(c + (target - c) * amount) for c in colour)
    return red, green, blue

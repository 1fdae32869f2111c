"""A scene -> pixels, with Pillow."""

import math
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageChops, ImageDraw

from gritmill.pipeline.sources.scene.colours import COLOURS, RGB, Tone, shaded
from gritmill.pipeline.sources.scene.layout import Scene, Thing
from gritmill.pipeline.sources.scene.shapes import Point, silhouette

FINE = 4
"""Masks are drawn so many times larger and shrunk, for smooth edges."""
EDGE = 0.07
"""Width of an outline, in radii."""


def paint(scene: Scene, size: int) -> Image.Image:
    """The scene as an RGB image whose longer side has `size` pixels."""
    image = background(scene, size)
    for thing in scene.things:
        _paint_thing(image, thing, size, scene.background.tone)
    return image


def background(scene: Scene, size: int) -> Image.Image:
    """The scene without its objects."""
    width, height = round(scene.width * size), round(scene.height * size)
    pattern, tone = scene.background
    rng = Random(scene.grain)  # noqa: S311 (nothing secret here)
    first, second = (tone.first, tone.second) if rng.random() < 0.5 else (tone.second, tone.first)
    image = Image.new("RGB", (width, height), tone.first if pattern == "meadow" else first)
    canvas = ImageDraw.Draw(image)
    if pattern == "gradient":
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180))).resize((width, height))
        image.paste(second, (0, 0), ramp)
    elif pattern == "stripes":
        pitch = size * rng.uniform(0.04, 0.12)
        lean = rng.choice((0.0, 0.0, 1.0, -1.0)) * height
        for i in range(-1 - math.ceil(height / pitch / 2), 1 + math.ceil((width + height) / pitch / 2)):
            left = 2 * i * pitch
            stripe = [(left, 0), (left + pitch, 0), (left + pitch + lean, height), (left + lean, height)]
            canvas.polygon(stripe, fill=second)
    elif pattern == "checker":
        pitch = size * rng.uniform(0.05, 0.14)
        for row in range(math.ceil(height / pitch)):
            for column in range(row % 2, math.ceil(width / pitch), 2):
                x, y = column * pitch, row * pitch
                canvas.rectangle((x, y, x + pitch, y + pitch), fill=second)
    elif pattern == "speckles":
        grain = Image.frombytes("L", (width, height), rng.randbytes(width * height))
        image.paste(second, (0, 0), grain)
    elif pattern == "meadow":
        horizon = height * rng.uniform(0.5, 0.7)
        canvas.rectangle((0, horizon, width, height), fill=tone.second)
    return image


class _Patch:
    """The part of the picture that an object takes up, `FINE` times as large while it is drawn.

    `scale` is pixels to the scene's unit of length.
    """

    def __init__(self, thing: Thing, scale: int, image_size: tuple[int, int]) -> None:
        self.thing = thing
        self.scale = scale
        reach = thing.radius * scale
        x, y = thing.x * scale, thing.y * scale
        self.corner = (max(math.floor(x - reach), 0), max(math.floor(y - reach), 0))
        self.size = (
            min(math.ceil(x + reach), image_size[0]) - self.corner[0],
            min(math.ceil(y + reach), image_size[1]) - self.corner[1],
        )
        shape = silhouette(thing.noun, thing.degrees)
        self.mask = self.filled(shape.outline)
        if shape.hole:
            ImageDraw.Draw(self.mask).polygon(self.pixels(shape.hole), fill=0)

    def pixels(self, polygon: Sequence[Point]) -> list[Point]:
        """A polygon of the shape's frame -> fine pixels of the patch."""
        thing = self.thing
        left, top = thing.x * self.scale - self.corner[0], thing.y * self.scale - self.corner[1]
        reach = thing.radius * self.scale
        return [((left + reach * u) * FINE, (top + reach * v) * FINE) for u, v in polygon]

    def filled(self, polygon: Sequence[Point]) -> Image.Image:
        fine = Image.new("L", (self.size[0] * FINE, self.size[1] * FINE))
        ImageDraw.Draw(fine).polygon(self.pixels(polygon), fill=255)
        return fine

    def rim(self, polygon: Sequence[Point]) -> Image.Image:
        fine = Image.new("L", self.mask.size)
        corners = self.pixels(polygon)
        width = max(2 * round(EDGE * self.thing.radius * self.scale * FINE), FINE)
        ImageDraw.Draw(fine).line([*corners, *corners[:2]], fill=255, width=width, joint="curve")
        return fine

    def shrunk(self, fine: Image.Image) -> Image.Image:
        return fine.reduce(FINE)


def _paint_thing(image: Image.Image, thing: Thing, size: int, tone: Tone) -> None:
    patch = _Patch(thing, size, image.size)
    shape = silhouette(thing.noun, thing.degrees)
    colour = COLOURS[thing.colour]

    def lay(fill: RGB, fine: Image.Image) -> None:
        image.paste(fill, patch.corner, patch.shrunk(ImageChops.darker(fine, patch.mask)))

    lay(colour, patch.mask)
    for detail in shape.details:
        lay(shaded(colour, detail.shade, tone), patch.filled(detail.polygon))
    if thing.outlined:
        for rim in filter(None, (shape.outline, shape.hole)):
            lay(shaded(colour, 0.6, tone), patch.rim(rim))

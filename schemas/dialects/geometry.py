"""What a model is shown of an image, and where a box of the image lies in that.

Every geometry is a window: the part of the image that fills the model's picture. Stretching shows
(0, 0, 1, 1), cropping a smaller window, padding a larger one that reaches beyond the image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from gritmill.schemas.boxes import Box, coverage

Size = tuple[int, int]
"""(width, height) in pixels, as a viewer sees the image."""

MIN_VISIBLE = 0.2
"""A box of which less than this share is inside a crop is dropped, as in Kosmos-2's loader."""


class View(NamedTuple):
    """A model's picture: the window of the image that it shows and its size in pixels.

    >>> PAD.view((640, 480)).window  # 80 rows of padding above and below
    Box(x1=0.0, y1=-0.16666666666666666, x2=1.0, y2=1.1666666666666667)
    """

    window: Box
    """In 0..1 of the image; outside of it where the picture is padded."""
    width: int
    height: int

    def shown(self, box: Box) -> Box | None:
        """A box of the image -> 0..1 of the picture, clipped to it. None if it is mostly cropped away."""
        if coverage(box, self.window) < MIN_VISIBLE:
            return None
        left, top, right, bottom = self.window
        width, height = right - left, bottom - top
        x1, y1, x2, y2 = box
        return Box(
            (x1 - left) / width, (y1 - top) / height, (x2 - left) / width, (y2 - top) / height
        ).clipped()

    def restored(self, box: Box) -> Box:
        """A box in 0..1 of the picture -> 0..1 of the image, clipped to it; may have no area."""
        left, top, right, bottom = self.window
        width, height = right - left, bottom - top
        x1, y1, x2, y2 = box
        return Box(left + x1 * width, top + y1 * height, left + x2 * width, top + y2 * height).clipped()


@dataclass(frozen=True)
class Geometry:
    """How images of any size become a model's picture."""

    name: str
    view: Callable[[Size], View]


def _stretched(size: Size) -> View:
    return View(Box(0, 0, 1, 1), *size)


def _padded(size: Size) -> View:
    width, height = size
    side = max(size)
    # Whole pixels, the odd one to the right or below, as `expand2square` pastes the image.
    left, top = (side - width) // 2, (side - height) // 2
    window = Box.from_pixels(-left, -top, side - left, side - top, width, height)
    return View(window, side, side)


def _cropped(size: Size) -> View:
    width, height = size
    side = min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return View(Box.from_pixels(left, top, left + side, top + side, width, height), side, side)


def smart_resize(
    size: Size, factor: int = 28, min_pixels: int = 56 * 56, max_pixels: int = 28 * 28 * 1280
) -> Size:
    """Qwen2-VL's rule for the size of the picture: sides in multiples of `factor`, area within limits.

    (640, 480) -> (644, 476). The limits are the published processor's; a processor with others needs
    a dialect with others. Raises `ValueError` for sides of more than 200:1, as Qwen's does.
    Source: `smart_resize` of QwenLM/Qwen2.5-VL.
    """
    width, height = size
    if max(size) > 200 * min(size):
        raise ValueError(f"an image of {width}x{height} is too long and thin: at most 200:1")
    wide, high = round(width / factor) * factor, round(height / factor) * factor
    if wide * high > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
        high = max(factor, math.floor(height / shrink / factor) * factor)
    elif wide * high < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        wide = math.ceil(width * grow / factor) * factor
        high = math.ceil(height * grow / factor) * factor
    return wide, high


def _resized(size: Size, factor: int, min_pixels: int, max_pixels: int) -> View:
    return View(Box(0, 0, 1, 1), *smart_resize(size, factor, min_pixels, max_pixels))


def resized(factor: int = 28, min_pixels: int = 56 * 56, max_pixels: int = 28 * 28 * 1280) -> Geometry:
    """The whole image at the size that `smart_resize` gives."""
    view = partial(_resized, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels)
    return Geometry(f"multiples of {factor} px", view)


STRETCH = Geometry("stretch", _stretched)
"""The whole image, whatever its shape, pulled to the model's picture: boxes stay as they are."""

PAD = Geometry("pad to square", _padded)
"""The image in the middle of a square (`expand2square` of LLaVA, Shikra, All-Seeing). Not OWL's padding,
which puts the image into the top left corner."""

CROP = Geometry("centre crop", _cropped)
"""The short side resized to the picture's, the long one cut at both ends (Kosmos-2's training)."""

"""What a model is shown of an image."""

from typing import TYPE_CHECKING

from gritmill.schemas.dialects import Geometry

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

GREY = (122, 116, 104)
"""Mean of CLIP's training images, with which LLaVA and Shikra pad."""


def picture(image: "PILImage", geometry: Geometry, side: int | None = None) -> "PILImage":
    """The part of an RGB image that a geometry shows, as a processor of the model is given it.

    With `side`, pulled to a square of so many pixels, for a processor that would crop what is no square.
    """
    from PIL import Image

    left, top, right, bottom = geometry.view(image.size).window
    width, height = image.size
    window = tuple(round(v) for v in (left * width, top * height, right * width, bottom * height))
    if window != (0, 0, width, height):
        canvas = Image.new("RGB", (window[2] - window[0], window[3] - window[1]), GREY)
        canvas.paste(image, (-window[0], -window[1]))
        image = canvas
    return image if side is None else image.resize((side, side), Image.Resampling.BICUBIC)

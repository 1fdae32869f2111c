"""Images that lie in memory, for tests of stages that look at pixels."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont


class MemoryImage:
    """What a stage finds in the `image` column."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        return self.data


def stored(picture: Image.Image, kind: str = "JPEG") -> MemoryImage:
    """A picture, encoded."""
    out = io.BytesIO()
    picture.save(out, kind)
    return MemoryImage(out.getvalue())


def noise(width: int = 320, height: int = 240) -> Image.Image:
    """Grey noise, the sharpest there is, and the same each time."""
    pixels = np.random.default_rng(0).normal(128, 60, (height, width)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def lettering(text: str, width: int = 400, height: int = 300, size: int = 50) -> Image.Image:
    """Black words on a grey ground."""
    picture = Image.new("RGB", (width, height), (200, 205, 210))
    ImageDraw.Draw(picture).multiline_text(
        (20, 20), text, fill="black", font=ImageFont.load_default(size), spacing=10
    )
    return picture

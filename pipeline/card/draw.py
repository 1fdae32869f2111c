"""An image with boxes drawn in, each expression's in its own colour."""

import io
from collections.abc import Iterable, Sequence

from gritmill.schemas.boxes import Box
from gritmill.schemas.images import decode

COLOURS = {
    "🟥": (221, 46, 68),
    "🟦": (59, 136, 195),
    "🟩": (92, 145, 59),
    "🟨": (253, 203, 88),
    "🟪": (146, 102, 204),
    "🟧": (244, 144, 12),
    "🟫": (150, 86, 55),
}
"""Squares that any page can show beside a phrase, and about the colours that fonts give them."""
_SIDE = 640
_QUALITY = 85


def drawn(image: bytes, groups: Iterable[Sequence[Box]]) -> bytes:
    """A JPEG of at most 640 pixels a side; the boxes of the first group in the first colour, and so on.

    Raises `OSError` for an image that cannot be decoded.
    """
    from PIL import ImageDraw

    picture = decode(image)
    picture.thumbnail((_SIDE, _SIDE))
    canvas = ImageDraw.Draw(picture)
    line = max(2, max(picture.size) // 200)
    colours = list(COLOURS.values())
    for number, boxes in enumerate(groups):
        for box in boxes:
            x, y, width, height = box.clipped().to_xywh_pixels(*picture.size)
            corners = (x, y, max(x + width - 1, x), max(y + height - 1, y))
            # A white rim, so that a box shows on a background of its own colour.
            canvas.rectangle(corners, outline="white", width=line + 2)
            canvas.rectangle(corners, outline=colours[number % len(colours)], width=line)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)  # without the image's EXIF, which may say where it was taken
    return out.getvalue()

"""An image as servers take it: a data URI of a common format, upright and not too large."""

import base64
import io

from gritmill.schemas.images import decode, open_header, oriented_size

SENT_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
ORIENTATION = 0x0112  # EXIF
QUALITY = 95


def data_uri(data: bytes, max_side: int) -> str:
    """The bytes unchanged where every server reads them alike, or else a JPEG.

    Drawn anew are other formats, images that EXIF turns (which servers forget to do), and those with a
    side of more than `max_side` pixels, which are scaled down. Raises `OSError` for what is no image,
    `ImageTooLarge` for one that may not be decoded.
    """
    header = open_header(data)
    kind = SENT_AS_THEY_ARE.get(header.format or "")
    upright = header.getexif().get(ORIENTATION, 1) == 1
    if kind is None or not upright or max(oriented_size(header)) > max_side:
        kind, data = "image/jpeg", _jpeg(data, max_side)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _jpeg(data: bytes, max_side: int) -> bytes:
    image = decode(data)
    image.thumbnail((max_side, max_side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()

"""Pictures as a page shows them: small, decoded within limits, a few at a time."""

import io
import os
import threading

from gritmill.schemas.images import decode

SIDE = 640
"""Longest side of a thumbnail in pixels; twice what a column of the page is wide."""

_decoding = threading.BoundedSemaphore(os.cpu_count() or 1)


def thumbnail(data: bytes) -> bytes:
    """An encoded image -> a JPEG of at most `SIDE` pixels, upright, without metadata.

    Raises `OSError` for what is no image or too large to be decoded.
    """
    with _decoding:  # a decoded image may take 200 MB
        try:
            image = decode(data)
        except Exception as error:  # codecs raise whatever they like at hostile bytes
            raise OSError(f"{type(error).__name__}: {error}") from error
        image.thumbnail((SIDE, SIDE))
        small = io.BytesIO()
        image.save(small, "JPEG", quality=85)
    return small.getvalue()

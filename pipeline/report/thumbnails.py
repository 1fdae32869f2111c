"""Small pictures inside the page, each once however many samples show it."""

import base64
import hashlib
import io

from gritmill.pipeline.gallery.entry import ImageView
from gritmill.pipeline.sources.images import StoredImage
from gritmill.schemas.columns import ImageRef
from gritmill.schemas.images import decode

SIDE = 360
"""Longest side in pixels. Larger pictures are made smaller, never the other way."""
_QUALITY = 70


class Thumbnails:
    """Pictures by number: an entry's `src` is `#0`, `#1`, ... and `uris` what stands for it."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._made: dict[ImageRef | bytes, ImageView | None] = {}

    def of(self, ref: ImageRef) -> ImageView | None:
        """An image's picture; None if it cannot be read or decoded."""
        if ref not in self._made:
            try:
                data = StoredImage(ref).read()
            except OSError:
                data = b""
            content = hashlib.blake2b(data, digest_size=16).digest()
            if content not in self._made:
                self._made[content] = self._add(data)
            self._made[ref] = self._made[content]
        return self._made[ref]

    def _add(self, data: bytes) -> ImageView | None:
        try:
            image = decode(data)
        except Exception:  # codecs raise whatever they like at hostile bytes
            return None
        image.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=_QUALITY, method=4)
        self.uris.append("data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode())
        return {"src": f"#{len(self.uris) - 1}", "width": image.width, "height": image.height}

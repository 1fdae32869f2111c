"""Drops images that cannot be used: broken, too large to decode, too small, too narrow, odd formats."""

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.images import MAX_PIXELS, Format, Image, ImageTooLarge, decode, open_header
from gritmill.stages.base import Stage

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


class ImageCheck(Stage):
    """Image -> its size as a viewer sees it and its format by content, if it decodes to the last byte.

    a 640x480 JPEG, stood on its side by EXIF -> 480, 640, "jpeg", 88210 bytes
    a 40x200 PNG                              -> Reject("too_small", 40, 64)
    half a JPEG                               -> Reject("undecodable", "image file is truncated (83 ...")

    The header is judged first, so that what is refused for its size or format is never decoded. Of
    an animation the first frame counts, which is the one that later stages see.
    """

    reads = ("image",)
    writes = {"width": int, "height": int, "image_format": str, "image_bytes": int}

    batch_size: int = Field(default=64, ge=1)

    min_side: int = Field(default=64, ge=1)
    """Fewest pixels that the shorter side may have. GRIT's own limit was never published; our choice."""
    max_aspect_ratio: float = Field(default=5.0, ge=1)
    """Longer side over shorter side at most. Beyond it are banners and panoramas, which the square
    input of most models squeezes beyond recognition; our choice."""
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)
    """Pixels (width times height) that the header may announce. No stage decodes more than 64 million."""
    formats: list[Format] = Field(default=["jpeg", "png", "webp"], min_length=1)
    """Formats let through, by content and not by name."""

    def process(self, batch: Columns) -> Columns:
        facts = [self._check(image) for image in batch["image"]]
        return {
            name: [f if isinstance(f, Reject) else getattr(f, name) for f in facts] for name in self.writes
        }

    def _check(self, image: Image) -> "_Facts | Reject":
        try:
            data = image.read()
        except OSError as error:
            return Reject("unreadable", error)
        try:
            header = open_header(data)
            refused = self._judge(header)
            return refused or _Facts(*decode(data, self.max_pixels).size, _format(header), len(data))
        except ImageTooLarge as error:
            return Reject("too_many_pixels", error, self.max_pixels)
        except Exception as error:
            # Broken bytes make Pillow's plugins raise nearly anything: OSError, SyntaxError,
            # struct.error, EOFError, zlib.error, ... Whatever it is, the image cannot be used.
            return Reject("undecodable", _describe(data, error))

    def _judge(self, header: "PILImage") -> Reject | None:
        image_format = _format(header)
        width, height = header.size
        if image_format not in self.formats:
            return Reject("format", image_format, ", ".join(self.formats))
        if width * height > self.max_pixels:
            return Reject("too_many_pixels", f"{width}x{height}", self.max_pixels)
        if min(width, height) < self.min_side:
            return Reject("too_small", min(width, height), self.min_side)
        ratio = max(width, height) / min(width, height)
        if ratio > self.max_aspect_ratio:
            return Reject("aspect_ratio", round(ratio, 2), self.max_aspect_ratio)
        return None


class _Facts(NamedTuple):
    width: int
    height: int
    image_format: str
    image_bytes: int


def _format(image: "PILImage") -> str:
    # A JPEG with a second picture behind it, as many phones write them, is a JPEG to everybody else.
    return "jpeg" if image.format == "MPO" else (image.format or "").lower()


def _describe(data: bytes, error: Exception) -> str:
    return (str(error) or type(error).__name__) if data else "no bytes"

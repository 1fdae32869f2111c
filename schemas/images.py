"""An image as a stage sees it: bytes that are fetched when asked for, and how they are opened."""

import io
import warnings
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Format = Literal["jpeg", "png", "webp", "gif", "bmp", "tiff", "ppm", "avif", "jpeg2000"]
"""What is opened, by content and not by name, in Pillow's words but lower-case. Pillow knows more, and runs
another program on some: Ghostscript on an EPS."""
FORMATS: tuple[Format, ...] = get_args(Format)

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded; about a 64-megapixel photograph."""


class Image(Protocol):
    """What a stage finds in the `image` column."""

    def read(self) -> bytes:
        """The encoded bytes, as they lie in the source. Raises `OSError` if they cannot be had."""
        ...


class ImageTooLarge(ValueError):
    """The header announces more pixels than may be decoded (a decompression bomb, perhaps)."""


def open_header(data: bytes) -> "PILImage":
    """Reads format and size without decoding. Raises `OSError` for what is in none of `FORMATS`."""
    from PIL import Image as pil
    from PIL import UnidentifiedImageError

    with warnings.catch_warnings():
        # Pillow warns of bombs from its own limit; ours is checked below, on the same header.
        warnings.simplefilter("ignore", pil.DecompressionBombWarning)
        try:
            return pil.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:  # its own message holds an address of this process
            raise OSError(f"not an image in a format that is read: {', '.join(FORMATS)}") from error
        except pil.DecompressionBombError as error:
            raise ImageTooLarge(str(error)) from error


def oriented_size(image: "PILImage") -> tuple[int, int]:
    """(width, height) as a viewer sees it: EXIF orientations 5 to 8 stand the image on its side."""
    width, height = image.size
    return (height, width) if image.getexif().get(0x0112, 1) in (5, 6, 7, 8) else (width, height)


def decode(data: bytes, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> "PILImage":
    """Encoded bytes -> an RGB Pillow image, EXIF orientation applied, fully decoded.

    With `at_least` a JPEG may come out at a half, quarter or eighth of its size, which takes a fraction
    of the time, as long as no side of it falls below that many pixels. Transparency is laid on white, as
    browsers show it. Raises `ImageTooLarge` above `max_pixels` and `OSError` for a broken or truncated image.
    """
    from PIL import Image as pil
    from PIL import ImageOps

    image = open_header(data)
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(f"{image.width}x{image.height}")
    if at_least:
        image.draft(None, (at_least, at_least))
    try:
        image.load()
    except (ValueError, SyntaxError, IndexError, MemoryError) as error:  # what Pillow's codecs raise
        raise OSError(f"cannot decode: {error}") from error
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):  # Pillow's conversion cuts 16 bits off at 255 instead of scaling
        return image.convert("I").point(lambda v: v / 256).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        flat = pil.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        return flat.convert("RGB")
    return image.convert("RGB")

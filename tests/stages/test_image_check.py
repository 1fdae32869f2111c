import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from gritmill.schemas.columns import Reject
from gritmill.schemas.images import decode
from gritmill.stages.image_check import ImageCheck

COCO_MINI = Path(__file__).parents[3] / "shared" / "data" / "coco_mini"


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        return self.data


class Missing:
    def read(self) -> bytes:
        raise FileNotFoundError("photos/1.jpg is not there")


def noise(width=160, height=120, mode="RGB"):
    return Image.effect_noise((width, height), 80).convert(mode)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    """A PNG with the header that it says, whatever may follow."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def bomb(width, height):
    """One colour, so that few bytes hold all the pixels that the header announces."""
    pixels = zlib.compressobj()
    rows = b"".join(pixels.compress(bytes(width + 1)) for _ in range(height)) + pixels.flush()
    return png(width, height, png_chunk(b"IDAT", rows))


def check(data, **options):
    """The row that comes out: (width, height, format), or the rejection."""
    columns = ImageCheck(**options).process({"image": [Bytes(data)]})
    (row,) = zip(columns["width"], columns["height"], columns["image_format"])
    return next((value for value in row if isinstance(value, Reject)), row)


JPEG = encoded(noise(), "JPEG")
PNG = encoded(noise(), "PNG")

GOOD = {
    "jpeg": (JPEG, (160, 120, "jpeg")),
    "png": (PNG, (160, 120, "png")),
    "webp": (encoded(noise(), "WEBP"), (160, 120, "webp")),
    "cmyk jpeg": (encoded(noise(mode="CMYK"), "JPEG"), (160, 120, "jpeg")),
    "grey jpeg": (encoded(noise(mode="L"), "JPEG"), (160, 120, "jpeg")),
    "palette with a transparent colour": (
        encoded(noise(mode="P"), "PNG", transparency=0),
        (160, 120, "png"),
    ),
    "one bit a pixel": (encoded(noise(mode="1"), "PNG"), (160, 120, "png")),
    "16 bits a pixel": (
        encoded(Image.fromarray(np.arange(9600, dtype=np.uint16).reshape(80, 120)), "PNG"),
        (120, 80, "png"),
    ),
    "exif: on its side": (encoded(noise(), "JPEG", exif=exif(6)), (120, 160, "jpeg")),
    "exif: upside down": (encoded(noise(), "JPEG", exif=exif(3)), (160, 120, "jpeg")),
    "exif that is rubbish": (
        encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish"),
        (160, 120, "jpeg"),
    ),
    "two pictures in a jpeg": (
        encoded(noise(), "MPO", save_all=True, append_images=[noise()]),
        (160, 120, "jpeg"),
    ),
    "animated webp": (
        encoded(noise(), "WEBP", save_all=True, append_images=[noise()]),
        (160, 120, "webp"),
    ),
    "bytes after the end": (JPEG + b"trailing", (160, 120, "jpeg")),
}


@pytest.mark.parametrize("name", GOOD)
def test_keeps(name):
    data, expected = GOOD[name]
    assert check(data) == expected


BROKEN = {
    "no bytes": b"",
    "html": b"<!doctype html><title>404</title>",
    "a program for Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 64\n",
    "half a jpeg": JPEG[: len(JPEG) // 2],
    "jpeg without its end": JPEG[:-2],
    "jpeg that is all header": JPEG[:40],
    "half a png": PNG[: len(PNG) // 2],
    "half a webp": encoded(noise(), "WEBP")[:1000],
    "png without pixels": png(100, 100),
    "png with a broken stream": png(100, 100, png_chunk(b"IDAT", b"\x78\x9c" + bytes(100))),
    "png with a wrong checksum": PNG[:60] + bytes([PNG[60] ^ 0xFF]) + PNG[61:],
    "png whose text inflates": PNG[:33]
    + png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000)))
    + PNG[33:],
    "png of no width": png(0, 100),
}


@pytest.mark.parametrize("name", BROKEN)
def test_drops_what_does_not_decode(name):
    rejected = check(BROKEN[name])
    assert isinstance(rejected, Reject)
    assert rejected.reason == "undecodable"
    assert rejected.value
    assert " at 0x" not in rejected.value, "an address differs from run to run"


REFUSED: dict[str, tuple[bytes, dict[str, Any], Reject]] = {
    "small": (encoded(noise(300, 63), "PNG"), {}, Reject("too_small", 63, 64)),
    "narrow": (encoded(noise(600, 100), "PNG"), {}, Reject("aspect_ratio", 6.0, 5.0)),
    "narrow, on its side": (
        encoded(noise(600, 100), "JPEG", exif=exif(6)),
        {},
        Reject("aspect_ratio", 6.0, 5.0),
    ),
    "gif": (encoded(noise(), "GIF"), {}, Reject("format", "gif", "jpeg, png, webp")),
    "png where only jpeg is wanted": (PNG, {"formats": ["jpeg"]}, Reject("format", "png", "jpeg")),
    "many pixels": (PNG, {"max_pixels": 19_199}, Reject("too_many_pixels", "160x120", 19_199)),
    "a bomb": (bomb(10_000, 10_001), {}, Reject("too_many_pixels", "10000x10001", 64_000_000)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    data, options, expected = REFUSED[name]
    assert check(data, **options) == expected


def test_the_limits_themselves_are_let_through():
    square = encoded(noise(64, 320), "PNG")
    assert check(square, min_side=64, max_aspect_ratio=5, max_pixels=64 * 320) == (64, 320, "png")


def test_a_bomb_beyond_pillows_own_limit_is_never_decoded():
    rejected = check(png(60_000, 60_000))
    assert isinstance(rejected, Reject)
    assert (rejected.reason, rejected.threshold) == ("too_many_pixels", "64000000")


def test_a_format_that_is_never_opened_cannot_be_let_through():
    with pytest.raises(ValidationError, match="Input should be 'jpeg', 'png'"):
        ImageCheck(formats=["eps"])


def test_an_animated_gif_counts_by_its_first_frame():
    gif = encoded(noise(), "GIF", save_all=True, append_images=[noise()])
    assert check(gif, formats=["gif"]) == (160, 120, "gif")


def test_an_image_that_cannot_be_read_says_why():
    columns = ImageCheck().process({"image": [Missing(), Bytes(JPEG)]})
    assert columns["width"] == [Reject("unreadable", "photos/1.jpg is not there"), 160]


def test_16_bits_are_scaled_not_cut_off():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    grey = np.asarray(decode(encoded(Image.fromarray(ramp), "PNG")))
    assert abs(float(grey.mean()) - 127.5) < 1


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="the photographs of ../shared are not here")
def test_photographs():
    photos = sorted((COCO_MINI / "images").glob("*.jpg"))
    columns = ImageCheck().process({"image": [Bytes(p.read_bytes()) for p in photos]})
    assert len(photos) == 80
    assert set(columns["image_format"]) == {"jpeg"}

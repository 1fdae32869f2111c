"""Which bytes are opened as an image, and that Pillow runs no other program on any."""

import io
from pathlib import Path

import pytest
from PIL import Image, features

from gritmill.schemas.images import FORMATS, decode, open_header

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 64\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(format: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((96, 64), 80).convert("RGB").save(out, format)
    return out.getvalue()


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a stand-in for Ghostscript, first in PATH, notes that it is called."""
    note = tmp_path / "called"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] || echo "$@" >> {note}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return note


@pytest.mark.parametrize("read", [open_header, decode])
def test_ghostscript_is_not_run(read, called: Path) -> None:
    with pytest.raises(OSError, match="not an image in a format that is read: jpeg, png, webp"):
        read(EPS)
    assert not called.exists()
    with pytest.raises(OSError, match="broken|cannot|truncated"):  # the control: Pillow by itself
        Image.open(io.BytesIO(EPS)).load()
    assert called.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_the_formats_that_are_read_have_the_pixels_that_pillow_sees(format: str) -> None:
    if format == "avif" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    data = encoded(format)
    assert (open_header(data).format or "").lower() == format
    assert decode(data).tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("format", ["EPS", "ICO", "IM", "PCX", "SGI", "SPIDER", "TGA"])
def test_other_formats_are_not_read(format: str) -> None:
    out = io.BytesIO()
    Image.new("L" if format == "SPIDER" else "RGB", (96, 64)).save(out, format)
    data = out.getvalue()
    assert Image.open(io.BytesIO(data)).format == format
    with pytest.raises(OSError, match="not an image in a format that is read"):
        open_header(data)

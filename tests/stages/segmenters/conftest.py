"""Tiny SAMs of the real architectures, pictures, and boxes on them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Span


@pytest.fixture(scope="session", params=["sam", "sam2", "sam3_tracker"])
def any_sam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of each architecture in turn."""
    pytest.importorskip("transformers", reason="needs the extra `grounders`")
    save = getattr(tiny_sam, f"save_{request.param}")
    return save(tmp_path_factory.mktemp("models") / f"tiny-{request.param}")


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    """A folder of one's own, to spoil."""
    pytest.importorskip("transformers", reason="needs the extra `grounders`")
    return tiny_sam.save_sam(tmp_path / "tiny-sam")


class Encoded:
    """An image as a stage sees it."""

    def __init__(self, image: Image.Image, orientation: int = 1) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        image.save(file, "PNG", exif=exif)
        self.data = file.getvalue()

    def read(self) -> bytes:
        return self.data


@pytest.fixture
def encoded() -> type[Encoded]:
    return Encoded


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """Blots of random colours."""

    def make(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
        drawn = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        return Image.fromarray(drawn).resize((width, height))

    return make


@pytest.fixture
def rows() -> Callable[..., Columns]:
    """Pairs of an encoded image and its boxes -> what `segment` reads."""

    def make(*pairs: tuple[Any, list[tuple[float, ...]]]) -> Columns:
        return {
            "image": [image for image, _ in pairs],
            "boxes": [
                [GroundedBox(Span(0, 5), Box(*box), 0.9, "detector", "a dog") for box in boxes]
                for _, boxes in pairs
            ],
        }

    return make

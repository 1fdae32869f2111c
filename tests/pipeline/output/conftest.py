import io
from types import SimpleNamespace

import pytest
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, ImageRef, Span


@pytest.fixture
def make_image():
    """(format) -> the bytes of a small image whose left half is red."""

    def make(image_format="jpeg"):
        image = Image.new("RGB", (40, 30), "blue")
        image.paste("red", (0, 0, 20, 30))
        buffer = io.BytesIO()
        image.save(buffer, image_format, **({"quality": 95} if image_format == "jpeg" else {}))
        return buffer.getvalue()

    return make


@pytest.fixture
def make_sample():
    """(number, **columns) -> the columns of a finished sample, with two boxes."""

    def make(number, **columns):
        caption = f"a dog and a cat in picture {number}"
        return {
            "key": f"{number:06d}",
            "image_id": f"{number:06d}",
            "caption": caption,
            "captions": [caption],
            "metadata": "{}",
            "image": SimpleNamespace(ref=ImageRef("photos.tar", 512, 900)),
            "width": 40,
            "height": 30,
            "image_format": "jpeg",
            "split": "train",
            "boxes": [
                GroundedBox(Span(0, 5), Box(0.0, 0.0, 0.5, 1.0), 0.9, "model@1", "a dog"),
                GroundedBox(Span(10, 15), Box(0.5, 0.1, 0.75, 0.9), 0.7, "model@1", "a cat"),
            ],
            "ref_exps": [Span(0, 5), Span(10, len(caption))],
        } | columns

    return make

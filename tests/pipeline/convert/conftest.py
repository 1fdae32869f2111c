import io
import json

import pytest
from PIL import Image

from gritmill.pipeline.convert.sample import make_sample
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Annotation, GroundedBox, ImageRef, Span
from gritmill.schemas.conversations import (
    ASSISTANT,
    HUMAN,
    Conversation,
    Phrase,
    Provenance,
    Turn,
    TurnRegion,
)
from gritmill.schemas.masks import Mask

SIZE = (640, 480)


def picture(colour="red", size=SIZE, image_format="jpeg"):
    """The bytes of an image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, image_format)
    return buffer.getvalue()


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def make_file(tmp_path):
    """(name, content) -> the path of a file in the test's folder; what is no bytes is written as JSON."""

    def make(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    return make


PROVENANCE = Provenance("parse", "conversation", "echo", "echo", "1234", "5678", 12, 34, "stop")
CAPTION = "A dog, two cats [old] and a dog\nin the field"


def conversation(number):
    box = Box(0.125, 0.25, 0.5, 0.75)
    return Conversation(
        [
            Turn(HUMAN, "rec", f"<image>\nWhere [now] is dog {number}?", [], []),
            Turn(ASSISTANT, "rec", "<region:0>", [TurnRegion([box])], []),
            Turn(HUMAN, "caption", "What is seen?", [], []),
            Turn(ASSISTANT, "caption", "A dog runs.", [], [Phrase(Span(0, 5), [box])]),
        ],
        PROVENANCE,
    )


def encoded(*runs):
    """Run lengths as COCO writes them: `rleToString` of maskApi.c."""
    text = ""
    for i, run in enumerate(runs):
        number = run - (runs[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != (-1 if bits & 16 else 0)
            text += chr(bits + 32 * more + 48)
    return text


@pytest.fixture
def make_full(make_file):
    """(number, **changes) -> a sample that has everything a sample can have, its image a file."""

    def make(number=0, **changes):
        image = picture(("red", "green", "blue")[number % 3])
        uri = make_file(f"photos/{number:03d}.mpo", image)
        two = Span(7, 15)
        boxes = [
            GroundedBox(two, Box(0.1, 0.2, 0.5, 0.9), 0.875, "model-a@1", "two cats"),
            GroundedBox(Span(26, 31), Box(0.01, 0.02, 0.33333, 0.44444), 0.5, "model-b@2", "dog"),
            GroundedBox(two, Box(0.6, 0.2, 1.0, 1.0), 0.25, "model-a@1", "cats"),
            GroundedBox(Span(22, 31), Box(0.5, 0.5, 0.75, 0.75), 0.75, "model-a@1", "and a dog"),
        ]
        expressions = [Span(7, 21), Span(26, len(CAPTION)), two, Span(22, 31)]
        outline = [0.25, 0.25, 0.5, 0.25, 0.5, 0.5]
        settings = {
            "image_id": f"photo {number}/é",
            "split": "validation",
            "captions": [CAPTION, "another one"],
            "metadata": {"url": "https://example.org/a.jpg", "id": 7, "license": "CC BY 4.0"},
            "boxes": boxes,
            "ref_exps": expressions,
            "masks": [
                Mask(480, 640, encoded(100, 20 + n, 480 * 640 - 120 - n), 0.5 + n / 8, "sam@1")
                for n in range(4)
            ],
            "annotations": [Annotation("kite", Box(0.25, 0.25, 0.5, 0.5), True, [outline])],
            "told": [conversation(0), conversation(1)],
        } | changes
        sample = make_sample(f"k.{number}/x", CAPTION, SIZE, ImageRef(uri, 0, len(image)), **settings)
        sample.record["image_format"] = "mpo"
        sample.record["source"] = {"uri": "photos.tar", "offset": 512, "length": 900}
        return sample

    return make

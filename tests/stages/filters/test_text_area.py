"""Text detection on the real weights of RapidOCR."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime, which the extra ocr installs")
pytest.importorskip("rapidocr", reason="needs rapidocr, which the extra ocr installs")

from memory_images import MemoryImage, lettering, stored

from gritmill.schemas.columns import Reject
from gritmill.stages.filters.text_area import TextArea, covered

PAGE = "\n".join(["The quick brown fox", "jumps over the lazy", "dog and runs away"] * 2)


@pytest.fixture(scope="module")
def stage():
    made = TextArea(side=320)
    made.setup()
    return made


def test_a_page_is_dropped_and_a_word_is_not(stage):
    images = [lettering(PAGE, 400, 300, 36), lettering("STOP", 400, 300, 40), lettering("", 400, 300)]
    found = stage.process({"image": [stored(image) for image in images]})
    page, word, nothing = found["text_area"]
    assert isinstance(page, Reject)
    assert (page.reason, page.threshold) == ("text", "0.3")
    assert float(page.value) > 0.4
    assert 0.02 < word < 0.2
    assert nothing == 0.0
    assert found["text_lines"][0] >= 6 and found["text_lines"][1:] == [1, 0]


def test_measure_says_how_much_and_drops_nothing():
    stage = TextArea(side=320, mode="measure", max_text_lines=0)
    stage.setup()
    found = stage.process({"image": [stored(lettering(PAGE, 400, 300, 36))]})
    assert found["text_area"][0] > 0.4
    assert found["text_lines"][0] >= 6


def test_photographs_have_little_text(stage, coco_mini):
    photos = [MemoryImage(path.read_bytes()) for path in sorted((coco_mini / "images").glob("*.jpg"))[:12]]
    found = stage.process({"image": photos})["text_area"]
    assert all(not isinstance(area, Reject) and area < 0.3 for area in found)


def test_text_that_overlaps_counts_once():
    square = np.array([[0, 0], [49, 0], [49, 49], [0, 49]], np.float32)
    assert covered(np.stack([square, square]), 100, 100) == 0.25
    assert covered(np.stack([square, square + 50]), 100, 100) == 0.5

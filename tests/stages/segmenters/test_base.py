"""What all segmenters share, with a model whose masks are the boxes themselves."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.masks import Mask
from gritmill.stages.segmenters.base import BOXES_AT_ONCE, Segment, stability
from gritmill.stages.segmenters.canvas import Canvas

pytest.importorskip("pycocotools", reason="needs the extra `masks`")

GRID = 64


class Rectangles(Segment):
    """Its logits are how far a pixel lies within the box, its choices 0 to `wrong` are empty."""

    segmenter: str = "rectangles"
    score: float = 0.9
    wrong: int = 0

    _encoded: list[Any]
    _asked: list[Any]

    def prepare(self, canvas: Canvas) -> "Rectangles":
        self._canvas = canvas
        self._label = "rectangles@1"
        self._encoded, self._asked = [], []
        return self

    def encode(self, pixels: Any) -> Any:
        self._encoded.append(pixels)
        return pixels

    def decode(self, encoded: Any, corners: Any) -> tuple[Any, Any]:
        assert encoded is self._encoded[-1]
        self._asked.append(corners)
        middle = (np.arange(GRID, dtype=np.float32) + 0.5) * self._canvas.side / GRID
        x1, y1, x2, y2 = (corners[:, i, None, None] for i in range(4))
        inside = np.minimum(
            np.minimum(middle[None, None, :] - x1, x2 - middle[None, None, :]),
            np.minimum(middle[None, :, None] - y1, y2 - middle[None, :, None]),
        )
        choices = np.stack([*[np.full_like(inside, -9)] * self.wrong, inside], axis=1)
        scores = np.full((len(corners), self.wrong + 1), 0.1, np.float32)
        scores[:, -1] = self.score
        return choices, scores


BOX = (0.26, 0.13, 0.74, 0.51)


@pytest.mark.parametrize("stretch", [True, False], ids=["stretched", "padded"])
@pytest.mark.parametrize("size", [(160, 90), (90, 160), (64, 64), (33, 500)])
def test_a_mask_lies_where_its_box_does(size, stretch, encoded, rows) -> None:
    stage = Rectangles().prepare(Canvas(128, stretch))
    [[mask]] = stage.process(rows((encoded(Image.new("RGB", size)), [BOX])))["masks"]
    assert (mask.width, mask.height) == size
    assert mask.area == pytest.approx(Box(*BOX).area * size[0] * size[1], rel=0.15)
    assert iou(mask.box, Box(*BOX)) > 0.85
    assert (mask.score, mask.model) == (0.9, "rectangles@1")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_mask_is_of_the_image_as_a_viewer_sees_it(orientation, encoded, rows) -> None:
    image = encoded(Image.new("RGB", (160, 80)), orientation)
    [[mask]] = Rectangles().prepare(Canvas(128)).process(rows((image, [BOX])))["masks"]
    assert (mask.width, mask.height) == ((160, 80) if orientation in (1, 3) else (80, 160))
    assert iou(mask.box, Box(*BOX)) > 0.85


def test_the_model_sees_what_a_viewer_sees(encoded, rows) -> None:
    lying = Image.new("RGB", (64, 32), "black")
    lying.paste("white", (0, 0, 16, 32))  # the left end, which comes to lie at the top
    stage = Rectangles().prepare(Canvas(64, mean=(0, 0, 0), std=(1, 1, 1)))
    stage.process(rows((encoded(lying, 6), [BOX])))
    [pixels] = stage._encoded
    assert pixels[:, :14, :30].min() == 1
    assert pixels[:, 18:, :].max() == 0
    assert pixels[:, :, 34:].max() == 0  # padding


def test_each_box_has_its_mask_in_its_place(encoded, rows) -> None:
    boxes = [((i % 10) / 10, (i // 10) / 10, (i % 10 + 1) / 10, (i // 10 + 1) / 10) for i in range(70)]
    stage = Rectangles().prepare(Canvas(128))
    out = stage.process(rows((encoded(Image.new("RGB", (200, 200))), boxes)))
    assert [len(asked) for asked in stage._asked] == [BOXES_AT_ONCE, BOXES_AT_ONCE, 70 - 2 * BOXES_AT_ONCE]
    assert [iou(mask.box, Box(*box)) > 0.6 for mask, box in zip(out["masks"][0], boxes)] == [True] * 70


def test_an_image_is_encoded_once_for_all_of_its_captions_and_not_without_boxes(encoded, rows) -> None:
    one, other = encoded(Image.new("RGB", (40, 40))), encoded(Image.new("RGB", (80, 40)))
    stage = Rectangles().prepare(Canvas(64))
    out = stage.process(rows((one, [BOX]), (one, [BOX, BOX]), (other, []), (other, [BOX]), (one, [])))
    assert [len(masks) for masks in out["masks"]] == [1, 2, 0, 1, 0]
    assert [mask.width for masks in out["masks"] for mask in masks] == [40, 40, 40, 80]
    assert len(stage._encoded) == 2


def test_of_several_masks_the_best_is_taken(encoded, rows) -> None:
    stage = Rectangles(wrong=2).prepare(Canvas(64))
    [[mask]] = stage.process(rows((encoded(Image.new("RGB", (64, 64))), [BOX])))["masks"]
    assert mask.area and mask.score == 0.9


@pytest.mark.parametrize(
    ("options", "is_kept"),
    [
        ({}, True),
        ({"min_predicted_iou": 0.9}, True),
        ({"min_predicted_iou": 0.91}, False),
        ({"min_stability": 0.5}, True),
        ({"min_stability": 0.95}, False),
    ],
)
def test_a_mask_below_a_threshold_is_empty_and_its_box_stays(options, is_kept, encoded, rows) -> None:
    stage = Rectangles(**options, score=0.9001, refine_boxes=True).prepare(Canvas(64))
    given = rows((encoded(Image.new("RGB", (64, 64))), [BOX]))
    out = stage.process(given)
    [[mask]], [[grounded]] = out["masks"], out["boxes"]
    assert bool(mask.area) is is_kept
    assert mask.score == 0.9001
    assert mask.pixels().shape == (64, 64)
    assert (grounded.box == Box(*BOX)) is not is_kept


def test_boxes_are_refined_only_where_asked(encoded, rows) -> None:
    given = rows((encoded(Image.new("RGB", (100, 50))), [BOX]))
    as_given = Rectangles().prepare(Canvas(64)).process(given)
    assert as_given["boxes"] == given["boxes"]
    refined = Rectangles(refine_boxes=True).prepare(Canvas(64)).process(given)
    [[grounded]], [[mask]] = refined["boxes"], refined["masks"]
    assert grounded.box == mask.box != Box(*BOX)
    assert grounded.box.is_valid
    assert grounded._replace(box=Box(*BOX)) == given["boxes"][0][0]


def test_without_a_threshold_even_what_the_model_gives_less_than_nothing_is_kept(encoded, rows) -> None:
    stage = Rectangles(score=-0.1).prepare(Canvas(64))
    [[mask]] = stage.process(rows((encoded(Image.new("RGB", (64, 64))), [BOX])))["masks"]
    assert mask.area and mask.score == -0.1


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_what_is_no_number_is_an_error(score, encoded, rows) -> None:
    stage = Rectangles(score=score).prepare(Canvas(64))
    with pytest.raises(ValueError, match="rectangles@1 gave numbers that are not finite"):
        stage.process(rows((encoded(Image.new("RGB", (64, 64))), [BOX])))


def test_stability_is_the_iou_of_a_strict_and_a_lax_threshold() -> None:
    logits = np.array([[-2, -0.5, 0.5, 2], [-2, -2, 2, 2]], np.float32)
    assert stability(logits) == 3 / 5
    assert stability(np.full((2, 2), -5, np.float32)) == 0


def test_an_empty_mask_is_whole() -> None:
    empty = Mask.of_pixels(np.zeros((3, 4), bool), 0.2, "m")
    assert (empty.runs(), empty.area, empty.box) == ([12], 0, None)

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box, coverage, iou, nms

UNIT = st.floats(0, 1)
BOXES = st.builds(
    lambda x1, y1, x2, y2: Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), UNIT, UNIT, UNIT, UNIT
)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Box(0, 0, 1, 1), Box(0, 0, 1, 1), 1.0),
        (Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1), 0.0),
        (Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1), 1 / 3),
        (Box(0, 0, 1, 1), Box(0.25, 0.25, 0.75, 0.75), 0.25),
        (Box(0.5, 0.5, 0.5, 0.5), Box(0.5, 0.5, 0.5, 0.5), 0.0),
        (Box(0.9, 0.9, 0.1, 0.1), Box(0, 0, 1, 1), 0.0),
    ],
)
def test_iou_of_hand_worked_cases(a: Box, b: Box, expected: float) -> None:
    assert math.isclose(iou(a, b), expected, abs_tol=1e-12)


@given(BOXES, BOXES)
def test_iou_is_a_symmetric_share(a: Box, b: Box) -> None:
    assert 0 <= iou(a, b) == iou(b, a) <= 1 + 1e-9
    assert 0 <= coverage(a, b) <= 1 + 1e-9


def test_pixels_go_in_and_out() -> None:
    assert Box.from_pixels(10, 20, 50, 80, 100, 200) == Box(0.1, 0.1, 0.5, 0.4)
    assert Box.from_xywh_pixels(10, 20, 40, 60, 100, 200) == Box(0.1, 0.1, 0.5, 0.4)
    assert Box.from_center(0.5, 0.5, 0.5, 0.25) == Box(0.25, 0.375, 0.75, 0.625)
    x, y, w, h = Box(0.1, 0.1, 0.5, 0.4).to_xywh_pixels(100, 200)
    assert [round(v, 9) for v in (x, y, w, h)] == [10, 20, 40, 60]


@pytest.mark.parametrize(
    ("box", "valid"),
    [
        (Box(0, 0, 1, 1), True),
        (Box(0.2, 0.2, 0.2, 0.4), False),
        (Box(0.4, 0.2, 0.2, 0.4), False),
        (Box(-0.1, 0, 0.5, 0.5), False),
        (Box(0, 0, 1.1, 0.5), False),
        (Box(math.nan, 0, 1, 1), False),
        (Box(0, 0, math.inf, 1), False),
    ],
)
def test_which_boxes_are_valid(box: Box, valid: bool) -> None:
    assert box.is_valid == valid


@given(st.builds(Box, *[st.floats(allow_nan=False)] * 4))
def test_a_clipped_box_lies_in_the_image(box: Box) -> None:
    assert all(0 <= v <= 1 for v in box.clipped())


@pytest.mark.parametrize(
    ("scores", "kept"),
    [([0.9, 0.8, 0.7], [0, 2]), ([0.7, 0.8, 0.9], [2, 1]), ([0.5, 0.5, 0.5], [0, 2])],
)
def test_nms_keeps_the_best_of_those_that_overlap(scores: list[float], kept: list[int]) -> None:
    boxes = [Box(0, 0, 0.5, 0.5), Box(0.01, 0, 0.5, 0.5), Box(0.6, 0.6, 1, 1)]
    assert nms(boxes, scores, 0.5) == kept


@given(st.lists(st.tuples(BOXES, UNIT), max_size=12), UNIT)
def test_nms_leaves_no_overlap_and_drops_nothing_without_one(
    scored: list[tuple[Box, float]], limit: float
) -> None:
    boxes, scores = [b for b, _ in scored], [s for _, s in scored]
    kept = nms(boxes, scores, limit)
    assert all(iou(boxes[i], boxes[j]) <= limit for i in kept for j in kept if i != j)
    for i in set(range(len(boxes))) - set(kept):
        assert any(iou(boxes[i], boxes[j]) > limit and scores[j] >= scores[i] for j in kept)

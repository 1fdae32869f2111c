import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects import CROP, PAD, STRETCH, Geometry, Size, resized, smart_resize

CASES = [
    (STRETCH, (640, 480), Box(0.1, 0.2, 0.3, 0.4), Box(0.1, 0.2, 0.3, 0.4)),
    (PAD, (640, 480), Box(0, 0, 1, 1), Box(0, 0.125, 1, 0.875)),
    (PAD, (480, 640), Box(0, 0, 1, 1), Box(0.125, 0, 0.875, 1)),
    (PAD, (3, 2), Box(0, 0, 1, 1), Box(0, 0, 1, 2 / 3)),  # the odd row goes below
    (CROP, (640, 480), Box(0, 0, 1, 1), Box(0, 0, 1, 1)),
    (CROP, (640, 480), Box(0.5, 0.5, 0.875, 1), Box(0.5, 0.5, 1, 1)),
    (CROP, (640, 480), Box(0.1, 0, 0.2, 1), Box(0, 0, 0.1, 1)),
    (CROP, (480, 640), Box(0, 0.1, 1, 0.2), Box(0, 0, 1, 0.1)),
    (CROP, (640, 480), Box(0.02, 0, 0.15, 1), None),  # 19 % of it visible
    (CROP, (640, 480), Box(0, 0, 0.1, 1), None),
]


@pytest.mark.parametrize(("geometry", "size", "box", "expected"), CASES)
def test_where_a_box_is_in_the_picture(
    geometry: Geometry, size: Size, box: Box, expected: Box | None
) -> None:
    shown = geometry.view(size).shown(box)
    if expected is None or shown is None:
        assert shown is expected
    else:
        assert all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(shown, expected, strict=True))


@pytest.mark.parametrize("geometry", [STRETCH, PAD, CROP, resized()])
@given(
    size=st.tuples(st.integers(30, 3000), st.integers(30, 3000)),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_what_is_shown_comes_back(geometry: Geometry, size: Size, corners: list[float]) -> None:
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    box = Box(x1, y1, x2, y2)
    view = geometry.view(size)
    shown = view.shown(box) if box.area > 1e-6 else None
    if shown is not None:
        left, top, right, bottom = view.window
        inside = Box(max(x1, left), max(y1, top), min(x2, right), min(y2, bottom))
        assert all(
            math.isclose(a, b, abs_tol=1e-9) for a, b in zip(view.restored(shown), inside, strict=True)
        )


def test_padding_is_that_of_the_published_code() -> None:
    """`box_xyxy_expand2square` of Shikra adds (side - short) // 2 pixels to both corners."""
    for width, height in [(640, 427), (427, 640), (500, 500), (333, 500)]:
        side = max(width, height)
        dx, dy = (side - width) // 2, (side - height) // 2
        box = Box.from_pixels(30, 40, 200, 300, width, height)
        expected = ((30 + dx) / side, (40 + dy) / side, (200 + dx) / side, (300 + dy) / side)
        shown = PAD.view((width, height)).shown(box)
        assert shown is not None
        assert all(math.isclose(a, b, abs_tol=1e-9) for a, b in zip(shown, expected, strict=True))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (644, 476)), ((28, 28), (56, 56)), ((4000, 3000), (1148, 840)), ((10, 1500), (28, 700))],
)
def test_smart_resize_of_hand_worked_cases(size: Size, expected: Size) -> None:
    assert smart_resize(size) == expected


def test_smart_resize_refuses_a_thread() -> None:
    with pytest.raises(ValueError, match="200:1"):
        smart_resize((4100, 20))

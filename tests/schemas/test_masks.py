"""Run lengths: the same as pycocotools writes and reads, and never more than they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.masks import Mask

coco = pytest.importorskip("pycocotools.mask", reason="needs the extra `masks`")

BITS = st.integers(1, 24).flatmap(
    lambda height: st.lists(
        st.lists(st.booleans(), min_size=height, max_size=height), min_size=1, max_size=24
    )
)


@given(BITS)
def test_what_goes_in_comes_out_and_pycocotools_agrees(columns) -> None:
    pixels = np.array(columns).T
    mask = Mask.of_pixels(pixels, 0.5, "sam@1")
    assert (mask.pixels() == pixels).all()
    assert (coco.decode(mask.to_item()) == pixels).all()
    assert mask.area == coco.area(mask.segmentation())
    assert Mask.from_item(mask.to_item()) == mask
    if mask.area:
        x, y, w, h = coco.toBbox(mask.segmentation())
        height, width = pixels.shape
        rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
        around = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
        assert mask.box == pytest.approx(around)
        assert (x / width, (x + w) / width) == pytest.approx((around[0], around[2]))
    else:
        assert mask.box is None


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (4, 4), (31, 1), (32, 1), (426, 640), (5000, 7000)])
def test_an_empty_mask_is_that_of_no_pixel(size: tuple[int, int]) -> None:
    assert Mask.empty(*size) == Mask.of_pixels(np.zeros(size, bool), 0.0, "")


def test_an_example_by_hand() -> None:
    # . . .
    # . # #
    # . . #     down the columns: five outside, one inside, three outside, two inside, one outside
    # . . .
    pixels = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
    mask = Mask.of_pixels(pixels, 1.0, "")
    assert mask.counts == "5131N"  # the last two are told as their differences: 2 - 1 and 1 - 3
    assert mask.runs() == [5, 1, 3, 2, 1]
    assert mask.box == pytest.approx((1 / 3, 1 / 4, 1, 3 / 4))


FINE = {"size": [4, 3], "counts": "5131N", "score": 0.5, "model": "sam@1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": "5131N1"}, "those of 15 pixels, not of 12"),
        ({"counts": ""}, "those of 0 pixels"),
        ({"counts": "P" * 10}, "counts hold 'P' where no run length"),
        ({"counts": "P"}, "end within a number"),
        ({"counts": "5131N\u00e9"}, "counts hold 'é'"),
        ({"counts": "5131N "}, "counts hold ' '"),
        ({"counts": "O1<"}, "negative run length"),
        ({"counts": [5, 1, 3, 2, 1]}, "counts are not text"),
        ({"counts": None}, "counts are not text"),
        ({"size": [3, 3]}, "those of 12 pixels, not of 9"),
        ({"size": [4]}, "is not \\[height, width\\]"),
        ({"size": [4.0, 3]}, "is not \\[height, width\\]"),
        ({"size": [True, 12]}, "is not \\[height, width\\]"),
        ({"size": [0, 0]}, "is not \\[height, width\\]"),
        ({"size": "43"}, "is not \\[height, width\\]"),
        ({"size": [10**9, 10**9]}, "larger than any image"),
        ({"score": None}, "score None is no number"),
        ({"score": float("nan")}, "score nan is no number"),
    ],
)
def test_what_is_no_mask_is_said(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        Mask.from_item(FINE | change)


@pytest.mark.parametrize("item", [None, "5131N", [4, 3], 7])
def test_what_is_no_object_is_no_mask(item) -> None:
    with pytest.raises(ValueError, match="not an object"):
        Mask.from_item(item)


@given(st.text(alphabet=[chr(c) for c in range(40, 120)], max_size=40))
def test_hostile_counts_are_refused_or_whole(counts) -> None:
    try:
        mask = Mask.from_item(FINE | {"counts": counts})
    except ValueError:
        return
    assert sum(mask.runs()) == 12 and mask.pixels().shape == (4, 3)


def test_long_counts_take_no_longer_than_they_are() -> None:
    with pytest.raises(ValueError, match="where no run length"):
        Mask.from_item(FINE | {"counts": "o" * 10**7})

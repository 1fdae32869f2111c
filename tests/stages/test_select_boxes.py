import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.columns import DroppedBox, GroundedBox, Reject, Span
from gritmill.stages.select_boxes import SelectBoxes

MAN = Box(0.1, 0.1, 0.5, 0.9)
NEARLY_MAN = Box(0.1, 0.12, 0.5, 0.9)
SHIRT = Box(0.2, 0.3, 0.4, 0.5)
BUTTON = Box(0.29, 0.39, 0.31, 0.41)
BOARD = Box(0.6, 0.8, 0.9, 0.95)


def found(start, box, score=1.0):
    return GroundedBox(Span(start, start + 3), box, score, "model@1", "a man")


def select(candidates, **options):
    (boxes,) = SelectBoxes(**options).process({"candidates": [candidates]})["boxes"]
    return boxes


def kept(candidates, **options):
    return [(b.span.start, b.box, b.score) for b in select(candidates, **options)]


NAN, INF = math.nan, math.inf

CASES: dict[str, tuple[list[GroundedBox], dict[str, Any], list[tuple[int, Box, float]]]] = {
    "below the threshold": ([found(0, MAN, 0.9), found(9, BOARD, 0.6)], {}, [(0, MAN, 0.9)]),
    "at the threshold": ([found(0, MAN, 0.65)], {}, [(0, MAN, 0.65)]),
    "two phrases, one region: the better score": (
        [found(0, MAN, 0.7), found(9, NEARLY_MAN, 0.8)],
        {},
        [(9, NEARLY_MAN, 0.8)],
    ),
    "two phrases, one region, equal scores: the first phrase": (
        [found(9, MAN), found(0, MAN)],
        {},
        [(0, MAN, 1.0)],
    ),
    "two phrases, one region, nms off": (
        [found(9, MAN), found(0, MAN)],
        {"nms_iou": 1},
        [(0, MAN, 1.0), (9, MAN, 1.0)],
    ),
    "two dogs that overlap a little": (
        [found(0, Box(0, 0, 0.5, 1), 0.8), found(0, Box(0.4, 0, 0.9, 1), 0.9)],
        {},
        [(0, Box(0.4, 0, 0.9, 1), 0.9), (0, Box(0, 0, 0.5, 1), 0.8)],
    ),
    "order: by span, then score": (
        [found(9, BOARD, 0.7), found(9, SHIRT, 0.9), found(0, MAN, 0.8)],
        {},
        [(0, MAN, 0.8), (9, SHIRT, 0.9), (9, BOARD, 0.7)],
    ),
    "a box that hangs over the edge": (
        [found(0, Box(-0.2, 0.5, 0.5, 1.3))],
        {},
        [(0, Box(0, 0.5, 0.5, 1), 1.0)],
    ),
    "clipping comes before NMS": (
        [found(0, Box(-1, 0, 0.5, 1), 0.9), found(9, Box(0, 0, 0.5, 1), 0.8)],
        {},
        [(0, Box(0, 0, 0.5, 1), 0.9)],
    ),
    "boxes that are none": (
        [
            found(0, MAN),
            found(1, Box(NAN, 0, 1, 1)),
            found(2, Box(0, 0, INF, 1)),
            found(3, Box(0.5, 0.5, 0.5, 0.9)),
            found(4, Box(0.9, 0.9, 0.1, 0.1)),
            found(5, Box(1.2, 0, 1.5, 1)),
            found(6, BOARD, NAN),
        ],
        {},
        [(0, MAN, 1.0)],
    ),
    "a speck": ([found(0, MAN), found(9, BUTTON)], {"min_area": 0.001}, [(0, MAN, 1.0)]),
    "nested, kept": ([found(0, MAN), found(9, SHIRT)], {}, [(0, MAN, 1.0), (9, SHIRT, 1.0)]),
    "nested, inner dropped, at any depth": (
        [found(0, MAN), found(5, SHIRT), found(9, BUTTON), found(20, BOARD)],
        {"nested": "drop_inner"},
        [(0, MAN, 1.0), (20, BOARD, 1.0)],
    ),
    "nested, outer dropped, at any depth": (
        [found(0, MAN), found(5, SHIRT), found(9, BUTTON), found(20, BOARD)],
        {"nested": "drop_outer"},
        [(9, BUTTON, 1.0), (20, BOARD, 1.0)],
    ),
    "half inside is not nested": (
        [found(0, MAN), found(9, Box(0.4, 0.4, 0.6, 0.6))],
        {"nested": "drop_inner"},
        [(0, MAN, 1.0), (9, Box(0.4, 0.4, 0.6, 0.6), 1.0)],
    ),
    "half inside is, if half is asked": (
        [found(0, MAN), found(9, Box(0.4, 0.4, 0.6, 0.6))],
        {"nested": "drop_inner", "nested_coverage": 0.49},
        [(0, MAN, 1.0)],
    ),
    "most boxes for a phrase": (
        [found(0, SHIRT, 0.7), found(0, BOARD, 0.9), found(0, BUTTON, 0.8), found(9, MAN, 0.7)],
        {"max_boxes_per_phrase": 2},
        [(0, BOARD, 0.9), (0, BUTTON, 0.8), (9, MAN, 0.7)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_selects(name):
    candidates, options, expected = CASES[name]
    assert kept(candidates, **options) == expected


REJECTED: dict[str, tuple[list[GroundedBox], dict[str, Any], Reject]] = {
    "the detector gave none": ([], {}, Reject("no_candidate")),
    "all scores too low": (
        [found(0, MAN, 0.3), found(9, BOARD, 0.62)],
        {},
        Reject("no_box", 0.62, 0.65),
    ),
    "no box is one": (
        [found(0, Box(NAN, 0, 1, 1)), found(0, Box(2, 2, 3, 3))],
        {},
        Reject("no_valid_box", 2),
    ),
    "all too small": ([found(0, MAN)], {"min_area": 0.5}, Reject("small_box", MAN.area, 0.5)),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejects(name):
    candidates, options, expected = REJECTED[name]
    assert select(candidates, **options) == expected


def test_rows_do_not_mix():
    rows = [[found(0, MAN)], [], [found(0, MAN, 0.9)]]
    boxes = SelectBoxes().process({"candidates": rows})["boxes"]
    assert boxes == [rows[0], Reject("no_candidate"), rows[2]]


LOST: dict[str, tuple[list[GroundedBox], dict[str, Any], list[DroppedBox]]] = {
    "to a better box of the region": (
        [found(0, MAN, 0.7), found(9, NEARLY_MAN, 0.8), found(20, BOARD, 0.6)],
        {},
        [DroppedBox(found(0, MAN, 0.7), "nms_iou", 0.975, 0.5)],
    ),
    "too small": (
        [found(0, MAN), found(9, BUTTON)],
        {"min_area": 0.001},
        [DroppedBox(found(9, BUTTON), "min_area", 0.0004, 0.001)],
    ),
    "all too small": ([found(0, MAN)], {"min_area": 0.5}, [DroppedBox(found(0, MAN), "min_area", 0.32, 0.5)]),
    "inside another": (
        [found(0, MAN), found(9, SHIRT)],
        {"nested": "drop_inner"},
        [DroppedBox(found(9, SHIRT), "nested_coverage", 1.0, 0.9)],
    ),
    "around another": (
        [found(0, MAN), found(9, SHIRT)],
        {"nested": "drop_outer"},
        [DroppedBox(found(0, MAN), "nested_coverage", 1.0, 0.9)],
    ),
    "one too many": (
        [found(0, SHIRT, 0.7), found(0, BOARD, 0.9)],
        {"max_boxes_per_phrase": 1},
        [DroppedBox(found(0, SHIRT, 0.7), "max_boxes_per_phrase", 2.0, 1.0)],
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_boxes_that_scored_enough_and_lost_say_to_what(name):
    candidates, options, expected = LOST[name]
    [lost] = SelectBoxes(**options).process({"candidates": [candidates]})["dropped_boxes"]
    assert lost == expected


@pytest.mark.parametrize("options", [{"min_score": 65}, {"nms_iou": -1}, {"nested": "drop"}, {"min_are": 0}])
def test_options_are_checked(options):
    with pytest.raises(ValidationError):
        SelectBoxes(**options)


side = st.floats(-0.5, 1.5)
candidate = st.builds(found, st.integers(0, 5), st.builds(Box, side, side, side, side), st.floats(0, 1))


@given(st.lists(candidate, max_size=8), st.randoms(use_true_random=False))
def test_the_choice_is_valid_and_does_not_depend_on_the_order(candidates, random):
    chosen = select(candidates, min_score=0.3)
    shuffled = random.sample(candidates, len(candidates))
    if isinstance(chosen, Reject):
        assert select(shuffled, min_score=0.3) == chosen
        return
    assert all(b.box.is_valid and b.score >= 0.3 for b in chosen)
    assert all(iou(a.box, b.box) <= 0.5 for i, a in enumerate(chosen) for b in chosen[:i])
    [lost] = SelectBoxes(min_score=0.3).process({"candidates": [candidates]})["dropped_boxes"]
    certain = [c for c in candidates if c.box.clipped().is_valid and c.score >= 0.3]
    assert len(chosen) + len(lost) == len(certain)
    assert max(b.score for b in chosen) == max(
        c.score for c in candidates if c.box.clipped().is_valid and c.score >= 0.3
    )

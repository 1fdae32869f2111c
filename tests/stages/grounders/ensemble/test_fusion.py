"""Weighted box fusion: worked out by hand, and as the code that came with the paper does it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gritmill.schemas.boxes import Box
from gritmill.stages.grounders.ensemble.fusion import Drawn, Fused, fuse

LEFT, LEFT_WIDER, RIGHT = Box(0, 0, 0.4, 1), Box(0, 0, 0.5, 1), Box(0.6, 0, 1, 1)
REFERENCE = Path(__file__).parent / "wbf_reference.json"


def drawn(*boxes: tuple[Box, float, int]) -> list[Drawn]:
    return [Drawn(*one) for one in boxes]


CASES: dict[str, tuple[list[Drawn], list[float], list[tuple[list[float], float, list[int]]]]] = {
    "nothing": ([], [1, 1], []),
    # (0.4 * 0.9 + 0.5 * 0.3) / 1.2 = 0.425; (0.9 + 0.3) / 2 * min(2, 2) / 2 = 0.6
    "two agree": (
        drawn((LEFT, 0.9, 0), (LEFT_WIDER, 0.3, 1)),
        [1, 1],
        [([0, 0, 0.425, 1], 0.6, [0, 1])],
    ),
    "one of two sees it": (drawn((LEFT, 0.9, 0)), [1, 1], [([0, 0, 0.4, 1], 0.45, [0])]),
    # Weighted scores 1.8 and 0.3: (0.4 * 1.8 + 0.5 * 0.3) / 2.1; mean 1.05 * 2 / (2 + 1) = 0.7
    "weights count in place and score": (
        drawn((LEFT, 0.9, 0), (LEFT_WIDER, 0.3, 1)),
        [2, 1],
        [([0, 0, 0.87 / 2.1, 1], 0.7, [0, 1])],
    ),
    "apart": (
        drawn((LEFT, 0.5, 0), (RIGHT, 0.9, 1)),
        [1, 1],
        [([0.6, 0, 1, 1], 0.45, [1]), ([0, 0, 0.4, 1], 0.25, [0])],
    ),
    # More boxes than detectors count as all detectors: mean (0.9 + 0.8 + 0.1) / 3 = 0.6, times 2 / 2.
    "a detector that draws twice": (
        drawn((LEFT, 0.9, 0), (LEFT, 0.1, 0), (LEFT, 0.8, 1)),
        [1, 1],
        [([0, 0, 0.4, 1], 0.6, [0, 2, 1])],
    ),
    "no score, no box": (drawn((LEFT, 0.0, 0)), [1, 1], []),
}


@pytest.mark.parametrize("name", CASES)
def test_fusion_by_hand(name: str) -> None:
    boxes, weights, expected = CASES[name]
    found = fuse(boxes, weights, 0.55)
    assert [one.of for one in found] == [of for _, _, of in expected]
    for one, (box, score, _) in zip(found, expected, strict=True):
        assert one.box == pytest.approx(Box(*box)) and one.score == pytest.approx(score)


def test_the_iou_must_be_exceeded() -> None:
    boxes = drawn((LEFT, 0.9, 0), (LEFT_WIDER, 0.3, 1))  # IoU 0.8
    assert len(fuse(boxes, [1, 1], 0.79)) == 1
    assert len(fuse(boxes, [1, 1], 0.81)) == 2


def test_the_example_of_the_docstring() -> None:
    [found] = fuse(drawn((LEFT, 0.9, 0), (LEFT_WIDER, 0.3, 1)), [1, 1], 0.55)
    assert Fused(Box(*(round(v, 9) for v in found.box)), round(found.score, 9), found.of) == Fused(
        Box(0.0, 0.0, 0.425, 1.0), 0.6, [0, 1]
    )


@pytest.mark.parametrize("case", json.loads(REFERENCE.read_text()))
def test_as_the_papers_own_code(case: dict[str, Any]) -> None:
    """What `weighted_boxes_fusion` of ensemble-boxes 1.0.9 gives for the same boxes."""
    boxes = [Drawn(Box(*box), score, member) for member, *box, score in case["boxes"]]
    found = fuse(boxes, case["weights"], case["iou"])
    assert len(found) == len(case["fused"])
    for one, (*box, score) in zip(found, case["fused"], strict=True):
        assert one.box == pytest.approx(Box(*box), abs=1e-5) and one.score == pytest.approx(score, abs=1e-5)

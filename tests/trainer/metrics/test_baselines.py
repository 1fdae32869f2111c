"""Answers that never look at the image."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.trainer.metrics import Question, best_constant_box, first_box, mean_box, shuffled_boxes


def accuracy(truths: list[Box], answers: list[Box], threshold: float = 0.5) -> float:
    questions = [Question(str(n), str(n), truth) for n, truth in enumerate(truths)]
    return (
        first_box(questions, {str(n): [box] for n, box in enumerate(answers)}, threshold)
        .score(resamples=2)
        .value
    )


def constant(truths: list[Box], box: Box, threshold: float = 0.5) -> float:
    return accuracy(truths, [box] * len(truths), threshold)


LEFT, RIGHT = Box(0.0, 0.0, 0.25, 1.0), Box(0.75, 0.0, 1.0, 1.0)
# Each 0.2 wide and 0.08 further: one over three of them overlaps each by 0.2/0.36, one over four by 0.2/0.44.
ROW = [Box(n * 0.08, 0.4, n * 0.08 + 0.2, 0.6) for n in range(9)]


@pytest.mark.parametrize(
    ("truths", "threshold", "best"),
    [
        ([LEFT], 0.9, 1.0),
        ([LEFT, LEFT, RIGHT], 0.5, 2 / 3),
        ([LEFT, Box(0.25, 0.0, 0.5, 1.0)], 0.5, 1.0),  # a box over both overlaps each by a half
        ([LEFT, Box(0.25, 0.0, 0.5, 1.0)], 0.6, 0.5),
        ([Box(0.31, 0.31, 0.34, 0.34), RIGHT], 0.9, 0.5),  # smaller than a cell of the grid
        (ROW, 0.5, 3 / 9),
        (ROW, 0.75, 1 / 9),
    ],
)
def test_best_constant(truths: list[Box], threshold: float, best: float) -> None:
    assert constant(truths, best_constant_box(truths, threshold), threshold) == pytest.approx(best)


ticks = st.lists(st.integers(0, 24), min_size=2, max_size=2, unique=True).map(sorted)
sides = ticks.map(lambda ends: [end / 24 for end in ends])
boxes = st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), sides, sides)


@settings(max_examples=15, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=12), st.sampled_from([0.5, 0.7]))
def test_no_constant_at_hand_is_better(truths: list[Box], threshold: float) -> None:
    best = constant(truths, best_constant_box(truths, threshold), threshold)
    tries = [*truths, mean_box(truths), Box(0, 0, 1, 1)]
    assert best >= max(constant(truths, box, threshold) for box in tries)


def test_deterministic_on_many() -> None:
    many = list(itertools.islice(itertools.cycle(ROW), 2500))
    best = best_constant_box(many)
    assert best == best_constant_box(many)
    assert constant(many, best) == pytest.approx(3 / 9, abs=0.001)


def test_mean() -> None:
    assert mean_box([LEFT, RIGHT]) == Box(0.375, 0.0, 0.625, 1.0)


@given(st.integers(2, 30), st.integers(0, 5))
def test_shuffled_gives_every_box_away(count: int, seed: int) -> None:
    truths = [Box(n / 100, 0, n / 100 + 0.5, 1) for n in range(count)]
    shuffled = shuffled_boxes(truths, seed)
    assert sorted(shuffled) == truths
    assert all(box != truth for box, truth in zip(shuffled, truths))
    assert shuffled == shuffled_boxes(truths, seed)


def test_shuffled_scores_by_chance() -> None:
    """Half of the boxes are left, half right: another's box fits half of the time."""
    truths = [LEFT, RIGHT] * 1000
    assert accuracy(truths, shuffled_boxes(truths)) == pytest.approx(0.5, abs=0.05)

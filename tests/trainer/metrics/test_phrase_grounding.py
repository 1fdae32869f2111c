"""Two protocols of phrase grounding, and where they part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Outcomes, Question, any_box, compare, merged_box

LEFT = Box(0.0, 0.0, 0.2, 0.5)
RIGHT = Box(0.8, 0.0, 1.0, 0.5)
HULL = Box(0.0, 0.0, 1.0, 0.5)
WRONG = Box(0.4, 0.6, 0.6, 0.9)
TWO_MEN = [LEFT, RIGHT]


@pytest.mark.parametrize(
    ("truths", "answer", "k", "any_hit", "merged_hit"),
    [
        (TWO_MEN, [LEFT], 1, 1, 0),
        (TWO_MEN, [RIGHT], 1, 1, 0),
        (TWO_MEN, [HULL], 1, 0, 1),
        (TWO_MEN, [LEFT, RIGHT], 5, 1, 0),  # answered boxes are not merged
        (TWO_MEN, [WRONG, LEFT], 1, 0, 0),
        (TWO_MEN, [WRONG, LEFT], 5, 1, 0),
        (TWO_MEN, [WRONG] * 5 + [HULL, LEFT], 5, 0, 0),
        (TWO_MEN, [WRONG] * 5 + [HULL, LEFT], 10, 1, 1),
        ([LEFT], [LEFT], 1, 1, 1),
        ([LEFT], [], 10, 0, 0),
    ],
)
def test_one_phrase(truths: list[Box], answer: list[Box], k: int, any_hit: int, merged_hit: int) -> None:
    question = [Question("two men", "i", truths)]
    scores = [protocol(question, {"two men": answer}, k).score() for protocol in (any_box, merged_box)]
    assert [score.value for score in scores] == [any_hit, merged_hit]
    assert [score.unparsable for score in scores] == [not answer] * 2
    assert [score.protocol for score in scores] == [
        f"phrase_grounding/any_box@R{k}",
        f"phrase_grounding/merged_box@R{k}",
    ]


def test_unparsable_where_no_counted_box_has_area() -> None:
    point = Box(0.1, 0.1, 0.1, 0.1)
    questions, answers = [Question("q", "i", TWO_MEN)], {"q": [point, LEFT]}
    assert [any_box(questions, answers, k).score().unparsable for k in (1, 5)] == [1, 0]


def test_the_two_do_not_compare() -> None:
    questions, answers = [Question("q", "i", TWO_MEN)], {"q": [LEFT]}
    with pytest.raises(UserError, match="different protocols"):
        compare(any_box(questions, answers).score(), merged_box(questions, answers).score())
    with pytest.raises(UserError, match="different protocols"):
        compare(any_box(questions, answers).score(), any_box(questions, answers, 5).score())


def test_a_phrase_without_boxes_is_no_question() -> None:
    with pytest.raises(ValueError, match="'sky' has no true box"):
        any_box([Question("sky", "i", [])], {"sky": [LEFT]})
    with pytest.raises(ValueError, match="at least 1"):
        any_box([Question("q", "i", [LEFT])], {"q": [LEFT]}, 0)


unit = st.floats(0, 1)
boxes = st.lists(st.builds(Box, unit, unit, unit, unit), min_size=1, max_size=12)


def hits(outcomes: Outcomes) -> float:
    return outcomes.score().value


@given(boxes, boxes)
def test_more_boxes_never_score_less(truths: list[Box], answer: list[Box]) -> None:
    questions, answers = [Question("q", "i", truths)], {"q": answer}
    for protocol in (any_box, merged_box):
        scores = [hits(protocol(questions, answers, k)) for k in (1, 5, 10)]
        assert scores == sorted(scores)


@given(boxes, boxes)
def test_one_true_box_makes_them_equal(truths: list[Box], answer: list[Box]) -> None:
    questions, answers = [Question("q", "i", truths[:1])], {"q": answer}
    assert hits(any_box(questions, answers)) == hits(merged_box(questions, answers))

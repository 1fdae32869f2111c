"""Referring expression comprehension, against hand-worked boxes and lmms-eval's own code."""

import importlib.util
import math
import random
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects.text import PINK
from gritmill.trainer.metrics import THRESHOLDS, Question, first_box

TRUTH = Box(0.0, 0.0, 0.4, 0.5)
HALF = Box(0.0, 0.0, 0.4, 0.25)  # IoU 1/2
WIDER = Box(0.0, 0.0, 0.5, 0.5)  # IoU 4/5
ELSEWHERE = Box(0.6, 0.6, 0.9, 0.9)
POINT = Box(0.2, 0.2, 0.2, 0.2)
INVERTED = Box(0.4, 0.5, 0.0, 0.0)
NAN = Box(math.nan, 0.0, 0.4, 0.5)


def score_of(boxes: list[Box], threshold: float = 0.5, truth: Box = TRUTH) -> tuple[float, int]:
    score = first_box([Question("q", "i", truth)], {"q": boxes}, threshold).score()
    return score.value, score.unparsable


@pytest.mark.parametrize(
    ("boxes", "threshold", "hit", "unparsable"),
    [
        ([TRUTH], 0.9, 1, 0),
        ([HALF], 0.5, 1, 0),
        ([HALF], 0.6, 0, 0),
        ([WIDER], 0.8, 1, 0),
        ([WIDER], 0.9, 0, 0),
        ([ELSEWHERE], 0.5, 0, 0),
        ([ELSEWHERE, TRUTH], 0.5, 0, 0),  # an oracle would find the second
        ([TRUTH, ELSEWHERE], 0.5, 1, 0),
        ([], 0.5, 0, 1),
        ([POINT], 0.5, 0, 1),
        ([INVERTED], 0.5, 0, 1),
        ([NAN], 0.5, 0, 1),
        ([POINT, TRUTH], 0.5, 0, 1),
    ],
)
def test_one_answer(boxes: list[Box], threshold: float, hit: int, unparsable: int) -> None:
    assert score_of(boxes, threshold) == (hit, unparsable)


def test_denominator_is_all_expressions() -> None:
    questions = [Question(f"q{n}", f"i{n % 2}", TRUTH) for n in range(8)]
    answers = {f"q{n}": boxes for n, boxes in enumerate([[TRUTH], [HALF], [ELSEWHERE], [], [], [], [], []])}
    score = first_box(questions, answers).score()
    assert (score.protocol, score.value, score.n) == ("rec/first_box@0.5", 2 / 8, 8)
    assert (score.images, score.unparsable) == (2, 5)


@pytest.mark.parametrize("width", [3, 7, 49, 333, 427, 640])
def test_exactly_half_in_pixels_is_a_hit(width: int) -> None:
    for left in range(width - 2):
        truth = Box.from_pixels(left, 0, left + 2, 1, width, 1)
        assert score_of([Box.from_pixels(left, 0, left + 1, 1, width, 1)], truth=truth) == (1, 0)


boxes = st.builds(Box, *[st.floats(-0.5, 1.5)] * 4)


@given(boxes, boxes)
def test_stricter_thresholds_never_score_more(answer: Box, truth: Box) -> None:
    scores = [score_of([answer], threshold, truth)[0] for threshold in THRESHOLDS]
    assert scores == sorted(scores, reverse=True)


@given(st.lists(st.builds(Box, *[st.floats()] * 4), max_size=3))
def test_any_answer_can_be_scored(answered: list[Box]) -> None:
    hit, unparsable = score_of(answered)
    assert hit + unparsable <= 1


def lmms_eval() -> ModuleType:
    """Its `refcoco_bbox_rec` alone: the package itself imports a hundred others."""
    found = importlib.util.find_spec("lmms_eval")
    if found is None or found.origin is None:
        pytest.skip("compares with lmms-eval: pip install --no-deps lmms-eval")
    path = Path(found.origin).parent / "tasks" / "refcoco" / "utils_rec.py"
    spec = importlib.util.spec_from_file_location("utils_rec", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_agrees_with_lmms_eval() -> None:
    theirs = lmms_eval()
    rng = random.Random(0)
    questions, answers, rows = [], {}, []
    for n in range(500):
        x, y, w, h = (rng.uniform(0.1, 0.4) for _ in range(4))
        truth = Box(x, y, x + w, y + h)
        answer = [round(v + rng.gauss(0, 0.04), 3) for v in truth] if n % 10 else None
        text = f"It is at {answer} or [0.0, 0.0, 1.0, 1.0]." if answer else "It is [nowhere]."
        questions.append(Question(str(n), str(n), truth))
        answers[str(n)] = [Box(*answer)] if answer else []
        doc = {"question_id": n, "answer": "it", "bbox": list(truth)}
        rows.append(theirs.refcoco_bbox_rec_process_result(doc, [text])["refcoco_ACC@0.5"])
    for threshold in (0.5, 0.7, 0.9):
        ours = first_box(questions, answers, threshold).score().value
        assert ours == theirs.refcoco_bbox_rec_aggregation_result(rows, f"ACC@{threshold}")
        assert 0 < ours < 0.9


def refcoco_bbox_rec(truths: list[Box], texts: list[str], threshold: float) -> float:
    """lmms-eval's formula, in our words (lmms_eval/tasks/refcoco/utils_rec.py, read at 60e0ba9).

    The first `[a, b, c, d]` of the text is the box, [0, 0, 0, 0] if there is none; the areas of the union
    keep their signs, so that an inverted box has a positive one.
    """
    hits = 0
    for truth, text in zip(truths, texts, strict=True):
        number = r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*"
        found = re.search(rf"\[{','.join([number] * 4)}\]", text)
        x1, y1, x2, y2 = map(float, found.groups()) if found else (0.0,) * 4
        width, height = min(x2, truth.x2) - max(x1, truth.x1), min(y2, truth.y2) - max(y1, truth.y1)
        shared = max(0.0, width) * max(0.0, height)
        union = (x2 - x1) * (y2 - y1) + (truth.x2 - truth.x1) * (truth.y2 - truth.y1) - shared
        hits += shared / union >= threshold
    return hits / len(truths)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_agrees_with_the_published_formula(threshold: float) -> None:
    """Given its format: the boxes that our parser reads in the text that it parses itself."""
    rng = random.Random(1)
    dialect = replace(PINK, box="[{}, {}, {}, {}]")
    truths, texts = [], []
    for n in range(1000):
        x, y, w, h = (rng.uniform(0.1, 0.4) for _ in range(4))
        truths.append(Box(x, y, x + w, y + h))
        x1, y1, x2, y2 = (min(max(v + rng.gauss(0, 0.04), 0), 1) for v in truths[-1])
        answer = [x2, y1, x1, y2] if n % 7 == 0 else [x1, y1, x2, y2]
        first = str([round(v, 3) for v in answer])
        texts.append("nowhere" if n % 11 == 0 else f"It is at {first} or [0.0, 0.0, 1.0, 1.0].")
    questions = [Question(str(n), str(n), truth) for n, truth in enumerate(truths)]
    none = Box(0, 0, 0, 0)
    answers = {
        str(n): [box or none for box in dialect.parse(text, (640, 480)).written]
        for n, text in enumerate(texts)
    }
    ours = first_box(questions, answers, threshold).score(resamples=100).value
    assert ours == refcoco_bbox_rec(truths, texts, threshold)
    assert 0 < ours < 0.9

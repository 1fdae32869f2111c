"""Matching and average precision: by hand, and against COCO's own evaluation of the same boxes."""

import contextlib
import io
import math
import random
from typing import Any

import numpy as np
import pytest

from gritmill.pipeline.grounder_bench.questions import GroundingQuestion
from gritmill.pipeline.grounder_bench.score import (
    AtThreshold,
    at_best_threshold,
    at_threshold,
    average_precision,
    judge,
)
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Span

A, B, C = Box(0.0, 0.0, 0.2, 0.4), Box(0.5, 0.5, 0.7, 0.9), Box(0.0, 0.6, 0.4, 0.8)
NEAR_A, FAR = Box(0.0, 0.0, 0.2, 0.3), Box(0.8, 0.0, 1.0, 0.1)
SPAN = Span(0, 5)


def found(*boxes, span=SPAN):
    return [GroundedBox(span, box, score, "m", "a dog") for box, score in boxes]


@pytest.mark.parametrize(
    ("truth", "crowds", "boxes", "hits"),
    [
        ([A], [], [(A, 0.9)], [True]),
        ([A], [], [(FAR, 0.9), (A, 0.8)], [False, True]),
        # The better of two on one box is right.
        ([A], [], [(A, 0.8), (NEAR_A, 0.9)], [True, False]),
        ([A, B], [], [(A, 0.9), (A, 0.8), (B, 0.7)], [True, False, True]),
        # A box takes what it overlaps most: NEAR_A leaves A to the next.
        ([NEAR_A, A], [], [(NEAR_A, 0.9), (A, 0.8)], [True, True]),
        # Within a crowd: neither right nor wrong, however often.
        ([A], [B], [(Box(0.5, 0.5, 0.6, 0.6), 0.9), (B, 0.8), (A, 0.7)], [True]),
        ([A], [A], [(A, 0.9), (A, 0.8)], [True]),
        ([A], [], [], []),
        # Cut at the edge; no area, no number: passed over, as `select_boxes` does.
        ([A], [], [(Box(-0.5, -0.1, 0.2, 0.4), 0.9)], [True]),
        ([A], [], [(Box(0.2, 0.4, 0.0, 0.0), 0.9), (Box(0, 0, math.nan, 0.4), 0.8)], []),
        ([A], [], [(Box(0, 0, math.inf, 0.4), 0.9), (A, math.nan), (A, 0.7)], [True]),
    ],
)
def test_matching(truth, crowds, boxes, hits) -> None:
    judged = judge([GroundingQuestion(0, SPAN, truth, crowds)], [found(*boxes)])
    assert judged.hits.tolist() == hits
    assert judged.wanted == len(truth)
    assert judged.scores.tolist() == sorted(judged.scores.tolist(), reverse=True)


def test_a_phrase_is_judged_by_its_own_boxes() -> None:
    other = Span(9, 14)
    candidates = [[*found((A, 0.9)), *found((B, 0.8), span=other)], found((C, 0.7))]
    questions = [
        GroundingQuestion(0, SPAN, [B], []),
        GroundingQuestion(0, other, [B], []),
        GroundingQuestion(1, SPAN, [C], []),
    ]
    judged = judge(questions, candidates)
    assert (judged.scores.tolist(), judged.hits.tolist()) == ([0.9, 0.8, 0.7], [False, True, True])


def test_nms_goes_first() -> None:
    questions, candidates = [GroundingQuestion(0, SPAN, [A], [])], [found((A, 0.9), (NEAR_A, 0.8))]
    assert judge(questions, candidates).hits.tolist() == [True, False]
    assert judge(questions, candidates, 0.5).hits.tolist() == [True]


def test_thresholds_by_hand() -> None:
    questions = [GroundingQuestion(0, SPAN, [A, B, C], [])]
    judged = judge(questions, [found((A, 0.9), (FAR, 0.62), (B, 0.6), (FAR, 0.1))])
    assert at_threshold(judged, 0.9) == AtThreshold(0.9, 1 / 3, 1.0)
    assert at_threshold(judged, 0.6) == AtThreshold(0.6, 2 / 3, 2 / 3)
    assert at_threshold(judged, 0.95) == AtThreshold(0.95, 0.0, None)
    # F1: 0.5 from 0.63, 0.67 from 0.11, 0.57 from 0.
    assert at_best_threshold(judged) == AtThreshold(0.11, 2 / 3, 2 / 3)


def test_average_precision_by_hand() -> None:
    """Recalls 0 to 1/3 at precision 1, to 2/3 at 2/3, beyond at 0: 34 and 33 of 101 points."""
    judged = judge([GroundingQuestion(0, SPAN, [A, B, C], [])], [found((A, 0.9), (FAR, 0.62), (B, 0.6))])
    assert average_precision(judged) == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert average_precision(judge([GroundingQuestion(0, SPAN, [A], [])], [[]])) == 0.0


def some_box(rng: random.Random) -> Box:
    x, y, w, h = (rng.uniform(0.0, 0.5) for _ in range(4))
    return Box(x, y, x + w + 0.01, y + h + 0.01)


def moved(rng: random.Random, box: Box) -> Box:
    return Box(*(v + rng.uniform(-0.05, 0.05) for v in box)).clipped()


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    rng = random.Random(seed)
    questions, candidates = [], []
    for row in range(60):
        truth = [some_box(rng) for _ in range(rng.randint(1, 6))]
        crowds = [some_box(rng) for _ in range(rng.choice([0, 0, 1]))]
        near = [moved(rng, box) for box in (*truth, *truth, *crowds) if rng.random() < 0.7]
        boxes = [*near, *(some_box(rng) for _ in range(rng.randint(0, 3)))]
        questions.append(GroundingQuestion(row, SPAN, truth, crowds))
        candidates.append(found(*((box, round(rng.random(), 1)) for box in boxes)))  # many scores are equal
    ours = average_precision(judge(questions, candidates))
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(pycocotools_ap(questions, candidates), abs=1e-9)


def pycocotools_ap(questions, candidates) -> float:
    """Each question is an image of 1000 x 1000 pixels, all of one category."""
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools, the evaluation of COCO")
    from pycocotools.cocoeval import COCOeval

    drawn: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, question in enumerate(questions):
        for boxes, crowd in ((question.boxes, 0), (question.crowds, 1)):
            for box in boxes:
                entry = {"image_id": number, "category_id": 1, "iscrowd": crowd, "id": len(drawn) + 1}
                drawn.append({**entry, "bbox": list(box.to_xywh_pixels(1000, 1000)), "area": box.area * 1e6})
        results += [
            {
                "image_id": number,
                "category_id": 1,
                "bbox": list(one.box.to_xywh_pixels(1000, 1000)),
                "score": one.score,
            }
            for one in candidates[question.row]
            if one.span == question.span
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [{"id": number} for number in range(len(questions))],
            "annotations": drawn,
            "categories": [{"id": 1}],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, 10_000]
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"][0, :, 0, 0, 2].mean())

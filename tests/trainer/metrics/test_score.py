"""Denominators, intervals, and what may be compared with what."""

import json
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import (
    Interval,
    Outcomes,
    Question,
    Score,
    compare,
    first_box,
    paired_difference,
)

HERE, THERE = Box(0.0, 0.0, 0.5, 0.5), Box(0.5, 0.5, 1.0, 1.0)


def outcomes(hits: str, images: str | None = None, protocol: str = "rec/first_box@0.5") -> Outcomes:
    """ "110" on the images "aab": two hits on the first image, a miss on the second."""
    images = images or "".join(map(chr, range(256, 256 + len(hits))))
    questions = [Question(f"q{n:03}", image, HERE) for n, image in enumerate(images)]
    return Outcomes.of(protocol, questions, [(int(hit), 1) for hit in hits], [False] * len(hits))


def test_interval_is_the_binomial_s() -> None:
    """Of 100 images with 60 hits, resampled hits are binomial (100, 0.6): 95 % are 50 to 69."""
    low, high = outcomes("1" * 60 + "0" * 40).score(resamples=20_000).interval or (0, 0)
    assert abs(low - 0.50) <= 0.01
    assert abs(high - 0.69) <= 0.01


def test_questions_of_one_image_do_not_narrow_the_interval() -> None:
    once = outcomes("1101001011", "abcdefghij").score()
    often = outcomes("".join(c * 10 for c in "1101001011"), "".join(c * 10 for c in "abcdefghij")).score()
    assert often.interval == once.interval
    assert (often.n, often.images) == (100, 10)


def test_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    hits, asked = rng.integers(0, 4, 60), rng.integers(4, 7, 60)
    rows = [(image, n < hit) for image, (hit, total) in enumerate(zip(hits, asked)) for n in range(total)]
    ours = outcomes(
        "".join(str(int(hit)) for _, hit in rows), "".join(chr(256 + image) for image, _ in rows)
    ).score(resamples=9999)
    theirs = stats.bootstrap(
        (hits, asked),
        lambda h, n, axis: h.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert ours.interval == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_one_image_has_no_interval() -> None:
    assert outcomes("10", "aa").score().interval is None


@given(st.text("01", min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_order_of_questions_does_not_matter(hits: str, rng: random.Random) -> None:
    there = {"0": THERE, "1": HERE}
    questions = [Question(f"q{n}", f"i{n // 3}", HERE) for n in range(len(hits))]
    answers = {f"q{n}": [there[hit]] for n, hit in enumerate(hits)}
    mixed = rng.sample(questions, len(questions))
    score = first_box(mixed, answers).score(resamples=20)
    assert score == first_box(questions, answers).score(resamples=20)
    assert score.value == hits.count("1") / len(hits)
    assert score.interval is None or 0 <= score.interval.low <= score.interval.high <= 1


def test_seed_decides_the_interval() -> None:
    rows = outcomes("1101001011" * 20)
    assert rows.score(seed=1) == rows.score(seed=1)
    assert rows.score(seed=1).interval != rows.score(seed=2).interval


QUESTION = Question("q1", "i", HERE)


@pytest.mark.parametrize(
    ("questions", "answers", "message"),
    [
        ([], {}, "no questions to score"),
        ([QUESTION, QUESTION], {"q1": [HERE]}, "Several questions have the id 'q1'"),
        (
            [QUESTION, Question("q2", "i", HERE)],
            {"q1": [HERE]},
            "1 of 2 questions, such as 'q2', have no answer",
        ),
        ([QUESTION], {"q1": [HERE], "q2": [HERE]}, "'q2' is answered but not asked"),
    ],
)
def test_denominators_cannot_shrink(
    questions: list[Question[Box]], answers: dict[str, list[Box]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        first_box(questions, answers)


A = Score("rec/first_box@0.5", 0.5, 10, 5, 0)


def test_compare() -> None:
    assert compare(A, replace(A, value=0.75)) == 0.25
    with pytest.raises(UserError, match=r"rec/first_box@0.5 and rec/first_box@0.6 are different protocols"):
        compare(A, replace(A, protocol="rec/first_box@0.6"))
    with pytest.raises(UserError, match="10 questions on 5 images and on 11 on 5"):
        compare(A, replace(A, n=11))


def test_paired_difference() -> None:
    """Of 100 images, b wins 15 and loses none: gains are binomial (100, 0.15), 8 to 22."""
    a, b = outcomes("1" * 45 + "0" * 55), outcomes("1" * 60 + "0" * 40)
    gain = paired_difference(a, b, resamples=20_000)
    assert (gain.protocol, gain.n) == ("rec/first_box@0.5", 100)
    assert gain.value == pytest.approx(0.15)
    assert gain.interval == pytest.approx((0.08, 0.22), abs=0.01)
    apart = (b.score().interval or Interval(0, 0)).low - (a.score().interval or Interval(0, 0)).high
    assert apart < 0, "the two intervals overlap and alone would not have told"
    back = paired_difference(b, a, resamples=20_000)
    assert back.value == -gain.value
    assert paired_difference(a, a).interval == (0, 0)


def test_paired_by_id_not_by_place() -> None:
    a = outcomes("10", "ab")
    turned = Outcomes(a.protocol, a.ids[::-1], a.images[::-1], a.counts[::-1], a.unparsable)
    assert paired_difference(a, turned).value == 0
    assert paired_difference(a, turned).interval == (0, 0)


def test_pairs_must_be_pairs() -> None:
    a = outcomes("10", "ab")
    with pytest.raises(UserError, match="different protocols"):
        paired_difference(a, outcomes("10", "ab", "rec/first_box@0.9"))
    for other in (outcomes("101", "abc"), outcomes("10", "ac")):
        with pytest.raises(UserError, match="different questions"):
            paired_difference(a, other)


def test_subset_has_a_name_of_its_own() -> None:
    whole = outcomes("1101", "aabb")
    small = whole.subset("small", ["q002", "q003"])
    assert small.score().value == 0.5
    with pytest.raises(UserError, match=r"rec/first_box@0.5 and rec/first_box@0.5\[small\] are different"):
        compare(whole.score(), small.score())
    with pytest.raises(UserError, match=r"\[large\] has no questions"):
        whole.subset("large", [])


def test_written_and_printed() -> None:
    score = Score("rec/first_box@0.5", 0.631, 1234, 400, 3, Interval(0.602, 0.659), ceiling=0.991)
    assert json.loads(json.dumps(asdict(score))) == {
        "protocol": "rec/first_box@0.5",
        "value": 0.631,
        "n": 1234,
        "images": 400,
        "unparsable": 3,
        "interval": [0.602, 0.659],
        "ceiling": 0.991,
    }
    assert str(score) == (
        "rec/first_box@0.5 0.631 [0.602, 0.659], 1,234 questions on 400 images, 3 unparsable, ceiling 0.991"
    )
    assert str(A) == "rec/first_box@0.5 0.500, 10 questions on 5 images, 0 unparsable"

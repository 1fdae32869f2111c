"""Yes or no, by the first word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.trainer.metrics import Question, pope
from gritmill.trainer.metrics.pope import first_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("yes", True),
        ("No.", False),
        ("YES, there is a dog.", True),
        ("  **No**, I see none", False),
        ("_yes_", True),
        ("no\nyes", False),
        ("Nothing of the kind", None),
        ("Not that I can see", None),
        ("yesterday", None),
        ("yes2", None),
        ("There is no dog.", None),  # the original script would say no
        ("A dog is there.", None),  # and here yes
        ("", None),
        ("...", None),
    ],
)
def test_first_word(text: str, word: bool | None) -> None:
    assert first_word(text) is word


def scores(rows: list[tuple[bool, str]]) -> dict[str, float]:
    questions = [Question(str(n), f"i{n % 3}", truth) for n, (truth, _) in enumerate(rows)]
    outcomes = pope(questions, {str(n): text for n, (_, text) in enumerate(rows)})
    assert all(name == rows.protocol for name, rows in outcomes.items())
    return {
        name.removeprefix("pope/first_word/"): rows.score(resamples=2).value
        for name, rows in outcomes.items()
    }


Y, N = True, False


@pytest.mark.parametrize(
    ("rows", "accuracy", "precision", "recall", "f1", "yes_ratio"),
    [
        # 3 true yeses found, 1 false yes, 1 yes missed, 5 right noes
        (
            [(Y, "yes")] * 3 + [(N, "yes")] + [(Y, "no")] + [(N, "no")] * 5,
            8 / 10, 3 / 4, 3 / 4, 3 / 4, 4 / 10,
        ),
        # says yes to everything: the truths are half yes, the predictions all
        ([(Y, "yes")] * 5 + [(N, "yes")] * 5, 1 / 2, 1 / 2, 1, 2 / 3, 1),
        ([(Y, "no")] * 5 + [(N, "no")] * 5, 1 / 2, 0, 0, 0, 0),
        # unparsable: wrong for either truth, no yes and no no
        ([(Y, "yes"), (Y, "perhaps"), (N, "perhaps"), (N, "no")], 2 / 4, 1, 1 / 2, 2 / 3, 1 / 4),
        ([(N, "no")], 1, 0, 0, 0, 0),
    ],
)  # fmt: skip
def test_by_hand(
    rows: list[tuple[bool, str]],
    accuracy: float,
    precision: float,
    recall: float,
    f1: float,
    yes_ratio: float,
) -> None:
    expected = {
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "yes_ratio": yes_ratio,
    }
    assert scores(rows) == pytest.approx(expected)


def test_unparsable_is_counted() -> None:
    outcomes = pope([Question("a", "i", True), Question("b", "i", False)], {"a": "maybe", "b": "no"})
    assert {rows.score().unparsable for rows in outcomes.values()} == {1}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["yes", "no", "?"])), min_size=1, max_size=40))
def test_f1_is_the_harmonic_mean(rows: list[tuple[bool, str]]) -> None:
    out = scores(rows)
    p, r = out["precision"], out["recall"]
    assert out["f1"] == pytest.approx(2 * p * r / (p + r) if p + r else 0)
    assert all(0 <= value <= 1 for value in out.values())

"""Text against references: pycocoevalcap's numbers, without its ways of going wrong."""

import shutil
import sys
from pathlib import Path

import pytest

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics import Question, bleu4, cider, meteor, rouge_l

QUESTIONS: list[Question[list[str]]] = [
    Question("a", "1.jpg", ["A red dog on the wet grass.", "the dog"]),
    Question("b", "1.jpg", ["a black cat behind some old chairs"]),
    Question("c", "2.jpg", ["one very large yellow school bus"]),
]
PERFECT = {question.id: question.truth[-1] for question in QUESTIONS}


@pytest.fixture
def scorers() -> None:
    pytest.importorskip("pycocoevalcap", reason="needs pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("needs Java")


@pytest.mark.usefixtures("scorers")
def test_perfect_answers() -> None:
    """One reference each, no word shared, at least four words: each n-gram's cosine is 1, times 10."""
    assert cider(QUESTIONS[1:], {"b": PERFECT["b"], "c": PERFECT["c"]}).score().value == pytest.approx(10)
    assert rouge_l(QUESTIONS, PERFECT).score().value == pytest.approx(1)
    assert bleu4(QUESTIONS[1:], {"b": PERFECT["b"], "c": PERFECT["c"]}).value == pytest.approx(1)
    assert meteor(QUESTIONS, PERFECT).value == pytest.approx(1)


@pytest.mark.usefixtures("scorers")
def test_names_counts_and_intervals() -> None:
    answers = {"a": "the DOG !", "b": " ... ", "c": ""}
    outcomes = rouge_l(QUESTIONS, answers, "caption")
    score = outcomes.score()
    assert (score.protocol, score.n, score.images, score.unparsable) == ("caption/rouge_l", 3, 2, 2)
    assert score.value == pytest.approx(1 / 3)
    assert score.interval is not None
    whole = meteor(QUESTIONS, answers)
    assert (whole.protocol, whole.n, whole.images, whole.unparsable) == ("reg/meteor", 3, 2, 2)
    assert whole.interval is None
    assert cider(QUESTIONS, answers, "reg/2_shot").protocol == "reg/2_shot/cider"


@pytest.mark.usefixtures("scorers")
@pytest.mark.parametrize("line_break", ["\n", "\r", "\x0b", "\x1c", "\x85", "\u2028"])
def test_line_breaks_do_not_shift_later_texts(line_break: str) -> None:
    answers = {**PERFECT, "a": f"the{line_break}dog"}
    assert rouge_l(QUESTIONS, answers).score().value == pytest.approx(1)


@pytest.mark.usefixtures("scorers")
def test_as_pycocoevalcap_scores_it() -> None:
    from pycocoevalcap.cider.cider import Cider  # type: ignore[import-not-found, unused-ignore]
    from pycocoevalcap.tokenizer.ptbtokenizer import (  # type: ignore[import-not-found, unused-ignore]
        PTBTokenizer,
    )

    answers = {"a": "a red dog, on grass", "b": "the old cat behind chairs", "c": "a yellow bus"}
    tokenize = PTBTokenizer().tokenize
    value, _ = Cider().compute_score(
        tokenize({q.id: [{"caption": text} for text in q.truth] for q in QUESTIONS}),
        tokenize({id_: [{"caption": text}] for id_, text in answers.items()}),
    )
    assert cider(QUESTIONS, answers).score().value == pytest.approx(value)
    assert 0 < value < 10


def test_no_other_tokenizer_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="Java"):
        cider(QUESTIONS, PERFECT)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("pycocoevalcap")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    with pytest.raises(UserError, match=r"pip install 'gritmill\[reg\]'"):
        meteor(QUESTIONS, PERFECT)


def test_references_are_needed() -> None:
    with pytest.raises(UserError, match="'x' has no reference text"):
        bleu4([Question("x", "i", [])], {"x": "a dog"})

"""Text against reference texts, for referring expression generation and captions, by pycocoevalcap.

Protocol: what everybody publishes (Chen et al. 2015, arXiv:1504.00325), with the Penn Treebank tokenizer of
the same package. It and METEOR need Java; no other tokenizer steps in, as its scores would differ.
Traps: tables print these numbers times 100; "CIDEr" is the code's CIDEr-D, whose word weights come from the
references of the set that is scored, so that halves of a set do not average to the whole; few-shot examples
change REG, so name them in `task`: "reg/2_shot".
"""

import importlib
import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from gritmill.schemas.errors import UserError
from gritmill.trainer.metrics.score import Outcomes, Question, Score, answers_to

References = Sequence[Question[Sequence[str]]]
"""All references of an object or image: `Question("49", "72.jpg", ["left giraffe", "the tall one"])`."""

Tokens = dict[int, list[str]]


METRICS = ("cider", "bleu4", "rouge_l", "meteor")
"""All that `text_scores` gives."""


def cider(questions: References, answers: Mapping[str, str], task: str = "reg") -> Outcomes:
    """`reg/cider`: 0..10, the mean of the questions; resampling leaves the word weights as they are."""
    return _cider(questions, *_tokenized(questions, answers), task)


def rouge_l(questions: References, answers: Mapping[str, str], task: str = "reg") -> Outcomes:
    """`reg/rouge_l`: 0..1, the mean of the questions."""
    return _rouge_l(questions, *_tokenized(questions, answers), task)


def meteor(questions: References, answers: Mapping[str, str], task: str = "reg") -> Score:
    """`reg/meteor`: 0..1, of the whole set at once and no mean of questions, so without an interval."""
    return _meteor(questions, *_tokenized(questions, answers), task)


def bleu4(questions: References, answers: Mapping[str, str], task: str = "reg") -> Score:
    """`reg/bleu4`: 0..1, of the whole set at once and no mean of questions, so without an interval."""
    return _bleu4(questions, *_tokenized(questions, answers), task)


def text_scores(
    questions: References, answers: Mapping[str, str], task: str = "reg"
) -> list[Outcomes | Score]:
    """All four, tokenized once."""
    truths, texts = _tokenized(questions, answers)
    return [score(questions, truths, texts, task) for score in (_cider, _bleu4, _rouge_l, _meteor)]


def missing() -> str | None:
    """What scores of text lack here, in a sentence with the fix; None if nothing."""
    if shutil.which("java") is None:
        return "Scores of text need Java, which is not on the PATH. Install a Java runtime."
    if importlib.util.find_spec("pycocoevalcap") is None:
        return "Scores of text need pycocoevalcap. Run: pip install 'gritmill[reg]'"
    return None


def _cider(questions: References, truths: Tokens, texts: Tokens, task: str) -> Outcomes:
    _, each = _load("cider.cider", "Cider")().compute_score(truths, texts)
    return _outcomes(f"{task}/cider", questions, texts, each)


def _rouge_l(questions: References, truths: Tokens, texts: Tokens, task: str) -> Outcomes:
    _, each = _load("rouge.rouge", "Rouge")().compute_score(truths, texts)
    return _outcomes(f"{task}/rouge_l", questions, texts, each)


def _meteor(questions: References, truths: Tokens, texts: Tokens, task: str) -> Score:
    value, _ = _load("meteor.meteor", "Meteor")().compute_score(truths, texts)
    return _score(f"{task}/meteor", questions, texts, value)


def _bleu4(questions: References, truths: Tokens, texts: Tokens, task: str) -> Score:
    values, _ = _load("bleu.bleu", "Bleu")(4).compute_score(truths, texts, verbose=0)
    return _score(f"{task}/bleu4", questions, texts, values[3])


def _tokenized(questions: References, answers: Mapping[str, str]) -> tuple[Tokens, Tokens]:
    """References and answers by number, lower-case and without punctuation."""
    given = answers_to(questions, answers)
    if unwritten := [q.id for q in questions if not q.truth]:
        raise UserError(f"{unwritten[0]!r} has no reference text. Leave it out of the evaluation set.")
    if lacking := missing():
        raise UserError(lacking)
    tokenizer = _load("tokenizer.ptbtokenizer", "PTBTokenizer")()

    def tokenize(texts: Sequence[Sequence[str]]) -> Tokens:
        # The tokenizer works by lines: one stray line break would shift the texts of all later questions.
        lines = {row: [{"caption": " ".join(t.split())} for t in some] for row, some in enumerate(texts)}
        tokens: Tokens = tokenizer.tokenize(lines)
        if [len(tokens.get(row, ())) for row in lines] != [len(some) for some in lines.values()]:
            raise RuntimeError("the Penn Treebank tokenizer lost some lines; see what Java printed")
        return tokens

    try:
        return tokenize([q.truth for q in questions]), tokenize([[text] for text in given])
    except OSError as error:
        told = f"pycocoevalcap could not write into its own folder ({error.strerror})"
        raise UserError(f"{told}. Install it where you may write, such as a virtual environment.") from error


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"pycocoevalcap.{module}"), name)


def _outcomes(protocol: str, questions: References, texts: Tokens, points: Sequence[float]) -> Outcomes:
    return Outcomes.of(protocol, questions, [(float(point), 1) for point in points], _wordless(texts))


def _score(protocol: str, questions: References, texts: Tokens, value: float) -> Score:
    images = len({q.image for q in questions})
    return Score(protocol, float(value), len(questions), images, sum(_wordless(texts)))


def _wordless(texts: Tokens) -> list[bool]:
    return [text == [""] for text in texts.values()]

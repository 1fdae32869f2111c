"""Phrase grounding on Flickr30k Entities: recall at k of a phrase's boxes, by two protocols that differ.

A phrase such as "three men" has several true boxes; only phrases with boxes are questions. `any_box` is the
protocol of Kosmos-2 and MDETR's separateGT, `merged_box` that of Ferret and MDETR's mergedGT (MDETR: Kamath
et al. 2021, arXiv:2104.12763, appendix). Traps: the two differ by points on the same answers; R@k of a model
that writes one box is its R@1.
"""

from collections.abc import Mapping, Sequence

from gritmill.schemas.boxes import Box
from gritmill.trainer.metrics.rec import has_box, is_hit
from gritmill.trainer.metrics.score import Outcomes, Question, answers_to

Phrases = Sequence[Question[Sequence[Box]]]
"""The truth is all boxes of the phrase: `Question("2087_0/three men", "2087.jpg", [Box(...), Box(...)])`."""


def any_box(questions: Phrases, answers: Mapping[str, Sequence[Box]], k: int = 1) -> Outcomes:
    """`phrase_grounding/any_box@R1`: one of the first `k` answered boxes meets one true box (IoU >= 0.5)."""
    return _recall(f"phrase_grounding/any_box@R{k}", questions, answers, k)


def merged_box(questions: Phrases, answers: Mapping[str, Sequence[Box]], k: int = 1) -> Outcomes:
    """`phrase_grounding/merged_box@R1`: one of the first `k` answered boxes meets the hull of the true ones.

    Answered boxes are not merged; a model must answer with the hull itself.
    """
    merged = [q._replace(truth=[hull(q.truth)]) for q in questions]
    return _recall(f"phrase_grounding/merged_box@R{k}", merged, answers, k)


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them; at least one."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return Box(min(x1), min(y1), max(x2), max(y2))


def _recall(protocol: str, questions: Phrases, answers: Mapping[str, Sequence[Box]], k: int) -> Outcomes:
    if k < 1:
        raise ValueError(f"R@k counts the first k boxes, at least 1, not {k}")
    if unboxed := [q.id for q in questions if not q.truth]:
        raise ValueError(f"phrase {unboxed[0]!r} has no true box and cannot be asked")
    given = answers_to(questions, answers)
    hits = [is_hit(boxes[:k], q.truth, 0.5) for boxes, q in zip(given, questions, strict=True)]
    return Outcomes.of(
        protocol, questions, [(hit, 1) for hit in hits], [not has_box(boxes[:k]) for boxes in given]
    )

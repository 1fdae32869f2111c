"""How well the boxes of a phrase are hit by a grounder that was asked for it."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from gritmill.schemas.boxes import Box, iou, nms
from gritmill.schemas.columns import GroundedBox, Span

SAME_THING = 0.5
"""Of two boxes of the grounder that overlap by more than this IoU, only the better is an answer."""


def hits(asked: Sequence[tuple[Span, Box]], candidates: Sequence[GroundedBox]) -> list[float]:
    """Boxes, each with the span that was asked for -> the highest IoU with one of the grounder's answers.

    A span with k boxes is answered by the k best candidates, and by those that score the same as the
    last of them. 0 where there is no answer.

    >>> hits([(Span(0, 5), Box(0, 0, 0.4, 1))], [GroundedBox(Span(0, 5), Box(0, 0, 0.5, 1), 0.9, ...)])
    [0.8]
    """
    counts = Counter(span for span, _ in asked)
    by_span: dict[Span, list[GroundedBox]] = defaultdict(list)
    for candidate in candidates:
        by_span[candidate.span].append(candidate)
    answers = {span: _best(by_span[span], count) for span, count in counts.items()}
    return [max((iou(box, answer) for answer in answers[span]), default=0.0) for span, box in asked]


def _best(candidates: Sequence[GroundedBox], count: int) -> list[Box]:
    apart = nms([c.box for c in candidates], [c.score for c in candidates], SAME_THING)
    if not apart:
        return []
    last = candidates[apart[:count][-1]].score
    return [candidates[i].box for i in apart if candidates[i].score >= last]

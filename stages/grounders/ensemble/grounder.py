"""Boxes on which several grounders agree."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from gritmill.schemas.boxes import Box, nms
from gritmill.schemas.columns import TOGETHER, Columns, GroundedBox, Reject, Span
from gritmill.stages.common.nested import Host, NestedGrounder, ReadsWithin
from gritmill.stages.grounders.base import Ground
from gritmill.stages.grounders.ensemble.fusion import Drawn, Fused, fuse

Candidates = list[GroundedBox] | Reject


class EnsembleGrounder(Host, Ground):
    """Noun chunks -> the boxes of several grounders, those around the same thing made one.

    "a dog" 0.8 by a@1 and 0.6 by b@2, nearly the same box -> one between them, 0.7, by "a@1 + b@2"

    By weighted box fusion (`fusion.py` beside this), phrase by phrase. What a member draws twice around one
    thing counts once. `model` and `phrase` of a box name all members that drew it. A box that
    not all members drew has a lower score, so that `min_score` of `select_boxes` asks for agreement, too.
    """

    reads: ClassVar = ReadsWithin("caption", "noun_chunks")

    grounder: Literal["ensemble"] = "ensemble"
    """Where the boxes come from."""
    members: list[NestedGrounder] = Field(min_length=2)
    """The grounders, each with its options: `[{grounder: onnx, model: a.onnx}, {grounder: transformers}]`."""
    weights: list[Annotated[float, Field(gt=0)]] | None = None
    """How much each member counts; null for all alike. Scores of different models are not comparable,
    so give more to one whose scores are low."""
    iou: float = Field(default=0.55, ge=0, le=1)
    """Boxes that overlap by more than this IoU are of the same thing. That of the paper's own code."""
    min_members: int = Field(default=1, ge=1)
    """Boxes that fewer members drew are left out."""

    @model_validator(mode="after")
    def _fits(self) -> "EnsembleGrounder":
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError(f"there are {len(self.members)} members and {len(self.weights)} weights")
        if self.min_members > len(self.members):
            raise ValueError(f"min_members is {self.min_members}, but there are only {len(self.members)}")
        return self

    def process(self, batch: Columns) -> Columns:
        found = [
            member.process({name: batch[name] for name in member.reads})["candidates"]
            for member in self.members
        ]
        return {"candidates": [self._row(row) for row in zip(*found, strict=True)]}

    def _row(self, row: Sequence[Candidates]) -> Candidates:
        if all(isinstance(candidates, Reject) for candidates in row):
            return row[0]
        by_span: dict[Span, list[list[GroundedBox]]] = {}
        for member, candidates in enumerate(row):
            for candidate in [] if isinstance(candidates, Reject) else candidates:
                by_span.setdefault(candidate.span, [[] for _ in row])[member].append(candidate)
        return [box for span in sorted(by_span) for box in self._fused(span, by_span[span])]

    def _fused(self, span: Span, found: list[list[GroundedBox]]) -> list[GroundedBox]:
        given = [(member, one) for member, boxes in enumerate(found) for one in self._once(boxes)]
        drawn = [Drawn(one.box, one.score, member) for member, one in given]
        boxes = []
        for fused in fuse(drawn, self.weights or [1.0] * len(found), self.iou):
            if (
                fused.score >= self.score_threshold
                and len({drawn[i].member for i in fused.of}) >= self.min_members
            ):
                boxes.append(_named(span, fused, [given[i][1] for i in sorted(fused.of)]))
        return boxes

    def _once(self, boxes: list[GroundedBox]) -> list[GroundedBox]:
        return [boxes[i] for i in nms([one.box for one in boxes], [one.score for one in boxes], self.iou)]


def _named(span: Span, fused: Fused, made_of: list[GroundedBox]) -> GroundedBox:
    models = dict.fromkeys(one.model for one in made_of)
    phrases = dict.fromkeys(one.phrase for one in made_of)
    box = Box(*(round(v, 6) for v in fused.box))
    return GroundedBox(span, box, round(fused.score, 6), TOGETHER.join(models), TOGETHER.join(phrases))

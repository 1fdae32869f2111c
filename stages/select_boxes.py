"""Chooses the boxes of a sample among the candidates that a grounder found."""

import math
from collections import Counter
from itertools import product
from typing import Literal

from pydantic import Field

from gritmill.schemas.boxes import coverage, iou, nms
from gritmill.schemas.columns import Columns, DroppedBox, GroundedBox, Reject
from gritmill.stages.base import Stage


class SelectBoxes(Stage):
    """Candidates -> boxes: score threshold, then NMS over all phrases of the image, then nested boxes.

    "a dog" 0.9, "a pet" 0.8 of nearly the same box, "a field" 0.3 -> "a dog" 0.9

    That is step 1 of GRIT (Kosmos-2, arXiv 2306.14824, section 2.1): the phrases compete for a region
    and one of them gets it, so a region is never named twice. Where scores are equal, as they are
    for boxes made by people, the phrase that comes first in the caption wins. Boxes are cut at the
    image's edge. The result is ordered by span, then by falling score; what scored enough and still lost
    its place stays in `dropped_boxes`, with the option that cost it.
    """

    reads = ("candidates",)
    writes = {"boxes": list[GroundedBox], "dropped_boxes": list[DroppedBox]}
    offsets_into = {"boxes": "caption"}

    min_score: float = Field(default=0.65, ge=0, le=1)
    """Lowest raw score. GRIT's, which is meant for GLIP; scores of other models lie elsewhere, those
    of Grounding DINO lower (0.35 in its own demo)."""
    nms_iou: float = Field(default=0.5, ge=0, le=1)
    """A box goes if it overlaps a better one by more than this IoU. GRIT never published its own; our
    choice. 1 keeps all."""
    min_area: float = Field(default=0.0, ge=0, le=1)
    """Smallest share of the image that a box may cover. GRIT has no such limit; 0.001 is one cell of
    the 32 x 32 grid in which Kosmos-2 spells its boxes."""
    max_boxes_per_phrase: int | None = Field(default=None, ge=1)
    """Most boxes that a phrase may keep, best first; null for all."""
    nested: Literal["keep", "drop_inner", "drop_outer"] = "keep"
    """What to do where a box lies in a larger one ("a shirt" on "a man", or two dogs and a box around
    both): keep both as GRIT does, drop the one inside, or drop the one around it."""
    nested_coverage: float = Field(default=0.9, gt=0, le=1)
    """Share of a box that must lie in a larger one for it to count as nested; our choice."""

    def process(self, batch: Columns) -> Columns:
        selected = [self._select(candidates) for candidates in batch["candidates"]]
        return {"boxes": [boxes for boxes, _ in selected], "dropped_boxes": [lost for _, lost in selected]}

    def _select(self, candidates: list[GroundedBox]) -> tuple[list[GroundedBox] | Reject, list[DroppedBox]]:
        if not candidates:
            return Reject("no_candidate"), []
        # Before clipping, which would make the image's edge of an infinite corner.
        finite = [c for c in candidates if all(map(math.isfinite, (*c.box, c.score)))]
        valid = [c for c in (c._replace(box=c.box.clipped()) for c in finite) if c.box.is_valid]
        if not valid:
            return Reject("no_valid_box", len(candidates)), []
        certain = [c for c in valid if c.score >= self.min_score]
        if not certain:
            return Reject("no_box", max(c.score for c in valid), self.min_score), []
        lost = [_lost(c, "min_area", c.box.area, self.min_area) for c in certain if not self._is_large(c)]
        large = sorted(filter(self._is_large, certain), key=lambda c: c.span)
        if not large:
            return Reject("small_box", max(c.box.area for c in certain), self.min_area), lost
        apart = self._apart(large, lost)
        chosen = self._bounded(self._without_nested(apart, lost), lost)
        return sorted(chosen, key=lambda c: (c.span, -c.score, c.box)), lost

    def _is_large(self, candidate: GroundedBox) -> bool:
        return candidate.box.area >= self.min_area

    def _apart(self, boxes: list[GroundedBox], lost: list[DroppedBox]) -> list[GroundedBox]:
        """What NMS keeps, best first."""
        kept = nms([b.box for b in boxes], [b.score for b in boxes], self.nms_iou)
        apart = [boxes[i] for i in kept]
        for i in sorted(set(range(len(boxes))) - set(kept)):
            overlap = max(iou(boxes[i].box, winner.box) for winner in apart)
            lost.append(_lost(boxes[i], "nms_iou", overlap, self.nms_iou))
        return apart

    def _without_nested(self, boxes: list[GroundedBox], lost: list[DroppedBox]) -> list[GroundedBox]:
        if self.nested == "keep":
            return boxes
        shares: dict[int, float] = {}
        for inner, outer in product(range(len(boxes)), repeat=2):
            if boxes[inner].box.area < boxes[outer].box.area:
                share = coverage(boxes[inner].box, boxes[outer].box)
                goes = inner if self.nested == "drop_inner" else outer
                shares[goes] = max(share, shares.get(goes, 0.0))
        nested = {i: share for i, share in shares.items() if share >= self.nested_coverage}
        lost += [
            _lost(boxes[i], "nested_coverage", share, self.nested_coverage) for i, share in nested.items()
        ]
        return [b for i, b in enumerate(boxes) if i not in nested]

    def _bounded(self, boxes: list[GroundedBox], lost: list[DroppedBox]) -> list[GroundedBox]:
        """Takes boxes best first, as NMS gives them."""
        most = self.max_boxes_per_phrase
        kept: list[GroundedBox] = []
        counts: Counter[tuple[int, int]] = Counter()
        for b in boxes:
            counts[b.span] += 1
            if most is None or counts[b.span] <= most:
                kept.append(b)
            else:
                lost.append(_lost(b, "max_boxes_per_phrase", counts[b.span], most))
        return kept


def _lost(box: GroundedBox, option: str, value: float, threshold: float) -> DroppedBox:
    return DroppedBox(box, option, round(float(value), 4), float(threshold))

"""Chooses the boxes of a sample among the candidates that a grounder found."""

import math
from collections import Counter
from typing import Literal

from pydantic import Field

from schemas.boxes import coverage, nms
from schemas.columns import Columns, GroundedBox, Reject
from stages.base import Stage


class SelectBoxes(Stage):
    """Candidates -> boxes: score threshold, then NMS over all phrases of the image, then nested boxes.

    "a dog" 0.9, "a pet" 0.8 of nearly the same box, "a field" 0.3 -> "a dog" 0.9

    That is step 1 of GRIT (Kosmos-2, arXiv 2306.14824, section 2.1): the phrases compete for a region
    and one of them gets it, so a region is never named twice. Where scores are equal, as they are
    for boxes made by people, the phrase that comes first in the caption wins. Boxes are cut at the
    image's edge. The result is ordered by span, then by falling score.
    """

    reads = ("candidates",)
    writes = {"boxes": list[GroundedBox]}

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
        return {"boxes": [self._select(candidates) for candidates in batch["candidates"]]}

    def _select(self, candidates: list[GroundedBox]) -> list[GroundedBox] | Reject:
        if not candidates:
            return Reject("no_candidate")
        # Before clipping, which would make the image's edge of an infinite corner.
        finite = [c for c in candidates if all(map(math.isfinite, (*c.box, c.score)))]
        valid = [c for c in (c._replace(box=c.box.clipped()) for c in finite) if c.box.is_valid]
        if not valid:
            return Reject("no_valid_box", len(candidates))
        certain = [c for c in valid if c.score >= self.min_score]
        if not certain:
            return Reject("no_box", max(c.score for c in valid), self.min_score)
        large = [c for c in certain if c.box.area >= self.min_area]
        if not large:
            return Reject("small_box", max(c.box.area for c in certain), self.min_area)
        by_span = sorted(large, key=lambda c: c.span)
        apart = [by_span[i] for i in nms([c.box for c in by_span], [c.score for c in by_span], self.nms_iou)]
        chosen = self._bounded(self._without_nested(apart))
        return sorted(chosen, key=lambda c: (c.span, -c.score, c.box))

    def _without_nested(self, boxes: list[GroundedBox]) -> list[GroundedBox]:
        if self.nested == "keep":
            return boxes
        pairs = [(i, o) for i in boxes for o in boxes if self._is_nested(i, o)]
        dropped = {id(inner if self.nested == "drop_inner" else outer) for inner, outer in pairs}
        return [b for b in boxes if id(b) not in dropped]

    def _is_nested(self, inner: GroundedBox, outer: GroundedBox) -> bool:
        smaller = inner.box.area < outer.box.area
        return smaller and coverage(inner.box, outer.box) >= self.nested_coverage

    def _bounded(self, boxes: list[GroundedBox]) -> list[GroundedBox]:
        """Takes boxes best first, as NMS gives them."""
        if self.max_boxes_per_phrase is None:
            return boxes
        kept: list[GroundedBox] = []
        counts: Counter[tuple[int, int]] = Counter()
        for b in boxes:
            counts[b.span] += 1
            if counts[b.span] <= self.max_boxes_per_phrase:
                kept.append(b)
        return kept

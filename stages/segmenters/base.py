"""What all segmenters share: they turn the boxes of a sample into masks."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns, GroundedBox
from gritmill.schemas.images import decode
from gritmill.schemas.masks import Mask
from gritmill.stages.base import Stage
from gritmill.stages.segmenters.canvas import Array, Canvas

BOXES_AT_ONCE = 32
"""Most boxes for one pass of the mask decoder; bounds memory where an image has hundreds."""


class Segment(Stage):
    """Boxes -> masks: `masks[i]` holds the pixels of `boxes[i]`, as far as the image goes.

    GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, ...) -> Mask(426, 640, "PXZ8...", 0.97, "model@rev")

    It goes last among the stages that choose boxes: one after it that writes `boxes` anew would leave
    masks that are no longer theirs, and such a recipe is refused. No box is dropped. Where a mask is not
    good enough it is left empty, with the score that says so.
    """

    reads: ClassVar[tuple[str, ...]] = ("image", "boxes")
    writes = {"boxes": list[GroundedBox], "masks": list[Mask]}
    aligned_with = {"masks": "boxes"}
    keeps_order_of = ("boxes",)
    packages: ClassVar[dict[str, str]] = {"pycocotools": "masks"}

    batch_size: int = Field(default=8, ge=1)
    """Rows handed to one call. Images go through the model one by one, as their many pixels fill it
    anyway; so no pixel of a mask depends on which rows share a batch."""

    segmenter: str
    """What makes the masks."""
    min_predicted_iou: float = Field(default=0, ge=0, le=1)
    """Masks that the model itself gives a lower IoU with the truth are left empty; 0 keeps all. SAM's
    own generator of masks takes 0.88."""
    min_stability: float = Field(default=0, ge=0, le=1)
    """Masks that change by more when their threshold is moved are left empty: the IoU of what lies over a
    logit of 1 with what lies over -1; 0 keeps all. SAM's own generator of masks takes 0.95."""
    refine_boxes: bool = False
    """Replaces each box by the smallest one around its mask, if it has one."""

    _canvas: Canvas = PrivateAttr()
    _label: str = PrivateAttr()
    _last: "_Look | None" = PrivateAttr(default=None)

    def encode(self, pixels: Array) -> Any:
        """[3, side, side] as the canvas gives it -> what `decode` needs to know of the image."""
        raise NotImplementedError

    def decode(self, encoded: Any, corners: Array) -> tuple[Array, Array]:
        """Boxes as [boxes, 4] corners on the canvas -> [boxes, choices, h, w] logits over the whole canvas
        and [boxes, choices] predicted IoU; the best choice of each is taken."""
        raise NotImplementedError

    def process(self, batch: Columns) -> Columns:
        rows = list(zip(batch["image"], batch["boxes"], strict=True))
        masks = [list(self._masks(self._look(image.read()), boxes)) if boxes else [] for image, boxes in rows]
        if not self.refine_boxes:
            return {"boxes": batch["boxes"], "masks": masks}
        refined = [list(map(_refined, boxes, found)) for (_, boxes), found in zip(rows, masks, strict=True)]
        return {"boxes": refined, "masks": masks}

    def _look(self, data: bytes) -> "_Look":
        # The captions of an image follow each other, and to encode it takes most of the time.
        if self._last is None or self._last.data != data:
            picture = decode(data)
            self._last = _Look(data, *picture.size, self.encode(self._canvas.pixels(picture)))
        return self._last

    def _masks(self, look: "_Look", boxes: list[GroundedBox]) -> Iterator[Mask]:
        size = look.width, look.height
        corners = self._canvas.corners([grounded.box for grounded in boxes], *size)
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            logits, scores = self.decode(look.encoded, corners[start : start + BOXES_AT_ONCE])
            if not (np.isfinite(logits).all() and np.isfinite(scores).all()):
                raise ValueError(f"{self._label} gave numbers that are not finite")
            for choices, predicted in zip(logits, scores, strict=True):
                best = int(predicted.argmax())
                on_image = self._canvas.on_image(choices[best], *size)
                score = float(predicted[best])
                pixels = (on_image > 0) & self._is_good(on_image, score)
                yield Mask.of_pixels(pixels, round(score, 6), self._label)

    def _is_good(self, logits: Array, score: float) -> bool:
        # Some models predict less than 0: a threshold of 0 is none.
        return (not self.min_predicted_iou or score >= self.min_predicted_iou) and (
            not self.min_stability or stability(logits) >= self.min_stability
        )


class _Look(NamedTuple):
    data: bytes
    width: int
    height: int
    encoded: Any


def stability(logits: Array) -> float:
    """IoU of a mask under a strict threshold with the same under a lax one; 0 for an empty one.

    As `calculate_stability_score` of segment-anything, with its offset of 1.
    """
    lax = int((logits > -1).sum())
    return int((logits > 1).sum()) / lax if lax else 0.0


def _refined(grounded: GroundedBox, mask: Mask) -> GroundedBox:
    box = mask.box
    return grounded if box is None else grounded._replace(box=box)

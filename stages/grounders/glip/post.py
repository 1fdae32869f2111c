"""What the head says of an image -> boxes for each phrase, as the official inference code makes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from gritmill.stages.grounders.glip.anchors import STRIDES, anchor_centers, decoded
from gritmill.stages.grounders.glip.head import Level

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 0.05
"""Places whose phrase scores no more than this are no candidates (MODEL.ATSS.INFERENCE_TH)."""
PER_LEVEL = 1000
"""Most candidates of a phrase from each level, best first (MODEL.ATSS.PRE_NMS_TOP_N)."""
MAX_IOU = 0.6
"""Of two candidates of a phrase that overlap more, the better stays (MODEL.ATSS.NMS_TH)."""


class PhraseBoxes(NamedTuple):
    """The boxes of a phrase, best first."""

    boxes: "Tensor"
    """[n, 4]: left, top, right, bottom, in pixels of what the model saw; the last ones belong to the box."""
    scores: "Tensor"
    """[n]: square root of the product of the phrase's score and the place's centredness."""


def detections(
    levels: Sequence[Level], image: int, phrases: Sequence[Sequence[int]], size: tuple[int, int], most: int
) -> list[PhraseBoxes]:
    """The boxes of each phrase in one image of a batch, at most so many.

    A phrase is the positions of its tokens; `size` is (height, width) of the image without its padding.
    """
    candidates = [_candidates(level, stride, image, phrases) for level, stride in zip(levels, STRIDES)]
    return [_chosen(parts, size, most) for parts in zip(*candidates)]


def _candidates(level: Level, stride: int, image: int, phrases: Sequence[Sequence[int]]) -> list[PhraseBoxes]:
    tokens = level.logits[image].sigmoid()
    centredness = level.centredness[image].sigmoid()
    centers = anchor_centers(*level.size, stride, like=tokens)
    found = []
    for phrase in phrases:
        aligned = tokens[:, list(phrase)].mean(dim=1)
        scores = (aligned * centredness).sqrt().where(aligned > THRESHOLD, -1.0)
        # Stable, so that equal scores do not make the choice depend on the machine.
        best = scores.argsort(descending=True, stable=True)[:PER_LEVEL]
        best = best[scores[best] >= 0]
        boxes = decoded(level.differences[image, best], centers[best], stride)
        found.append(PhraseBoxes(boxes, scores[best]))
    return found


def _chosen(parts: Sequence[PhraseBoxes], size: tuple[int, int], most: int) -> PhraseBoxes:
    height, width = size
    scores = torch.cat([part.scores for part in parts])
    boxes = torch.cat([part.boxes for part in parts])
    border = boxes.new_tensor([width - 1, height - 1, width - 1, height - 1])
    boxes = boxes.clamp(min=0).minimum(border)
    seen = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)  # the others lay in the padding
    boxes, scores = boxes[seen], scores[seen]
    kept = suppressed(boxes, scores, most)
    return PhraseBoxes(boxes[kept], scores[kept])


def suppressed(boxes: "Tensor", scores: "Tensor", most: int) -> list[int]:
    """Greedy non-maximum suppression: the indices of the boxes that stay, best first, at most so many.

    As `schemas.boxes.nms`, on thousands of boxes.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    left = torch.arange(len(boxes), device=boxes.device)
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(order[best]))
        corner = torch.maximum(boxes[best, :2], boxes[left, :2])
        other = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (other - corner).clamp(min=0).prod(dim=1)
        left = left[shared <= MAX_IOU * (area[best] + area[left] - shared)]
    return kept

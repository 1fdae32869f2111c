"""Weighted box fusion: boxes that several detectors drew around the same thing become one."""

from collections.abc import Sequence
from typing import NamedTuple

from gritmill.schemas.boxes import Box, iou


class Drawn(NamedTuple):
    """A box that goes into the fusion."""

    box: Box
    score: float
    member: int
    """Which detector drew it."""


class Fused(NamedTuple):
    """A box that comes out of it."""

    box: Box
    score: float
    of: list[int]
    """Places of the boxes that it was made of, best first."""


def fuse(boxes: Sequence[Drawn], weights: Sequence[float], min_iou: float) -> list[Fused]:
    """Boxes for one phrase, drawn by as many detectors as there are weights -> the fused ones, best first.

    Solovyev, Wang, Gabruseva: Weighted boxes fusion (arXiv 1910.13302), section 3. By falling weighted
    score, each box joins the fused box that it overlaps most, if by more than `min_iou`, or begins one of
    its own. A fused box is the mean of its boxes, weighted by weighted score. Its score is the mean
    of the weighted scores, times the number of its boxes (at most that of the detectors) over the
    sum of the weights: what one of two detectors alone has seen keeps half its score.

    Weights must be above 0; boxes with a score of 0 are left out.

    >>> fuse([Drawn(Box(0, 0, 0.4, 1), 0.9, 0), Drawn(Box(0, 0, 0.5, 1), 0.3, 1)], [1, 1], 0.55)
    [Fused(box=Box(x1=0.0, y1=0.0, x2=0.425, y2=1.0), score=0.6, of=[0, 1])]
    """
    strength = [drawn.score * weights[drawn.member] for drawn in boxes]
    clusters: list[list[int]] = []
    means: list[Box] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-strength[i], i)):
        if strength[i] <= 0:
            break
        overlaps = [iou(boxes[i].box, mean) for mean in means]
        best = max(range(len(means)), key=overlaps.__getitem__, default=-1)
        if best >= 0 and overlaps[best] > min_iou:
            clusters[best].append(i)
            means[best] = _mean([boxes[j].box for j in clusters[best]], [strength[j] for j in clusters[best]])
        else:
            clusters.append([i])
            means.append(boxes[i].box)
    scores = [
        sum(strength[i] for i in cluster) / len(cluster) * min(len(cluster), len(weights)) / sum(weights)
        for cluster in clusters
    ]
    fused = map(Fused, means, scores, clusters)
    return sorted(fused, key=lambda one: -one.score)


def _mean(boxes: Sequence[Box], weights: Sequence[float]) -> Box:
    total = sum(weights)
    corners = zip(*boxes, strict=True)
    return Box(*(sum(v * w for v, w in zip(values, weights, strict=True)) / total for values in corners))

"""How far a score would move with other images: the percentile bootstrap (Efron 1979), by image.

Questions about one image share its difficulty; drawing them one by one would make the interval too narrow.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
"""Numbers of one question or, summed, of many: (hit, 1) for an accuracy."""

Statistic = Callable[[Counts], float]
"""Summed counts -> the score."""


class Interval(NamedTuple):
    """The middle 95 % of the resampled scores: `Interval(low=0.602, high=0.659)`.

    Without width where every question hits, or none does: that says nothing, not that it is certain.
    """

    low: float
    high: float


def share(sums: Counts) -> float:
    """(points, questions) -> points a question."""
    return float(sums[0] / sums[1])


def bootstrap_interval(
    counts: Counts, images: Sequence[str], statistic: Statistic, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """The interval of a statistic of summed `counts` (questions x numbers), drawing whole images.

    The same for any order of the questions. None for fewer than two images, which cannot say.
    """
    names, image_of = np.unique(np.asarray(images), return_inverse=True)
    if len(names) < 2:
        return None
    by_image = np.zeros((len(names), counts.shape[1]))
    np.add.at(by_image, image_of, counts)
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(names), size=len(names)) for _ in range(resamples))
    scores = [statistic(np.bincount(draw, minlength=len(names)) @ by_image) for draw in drawn]
    return Interval(*np.quantile(scores, (0.025, 0.975)).tolist())

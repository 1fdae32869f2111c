"""Masks: which pixels of an image a region covers, in COCO's compressed run lengths.

Pixels are those of the whole image as a viewer sees it (EXIF orientation applied), counted down the
columns from the top left. Run lengths alternate between pixels outside and inside; COCO writes them as
numbers of five bits a character (`rleToString` of cocoapi's maskApi.c).
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gritmill.schemas.boxes import Box
from gritmill.schemas.images import MAX_PIXELS

MAX_CHARACTERS = 7
"""Of one number: 35 bits, more than an image has pixels."""


class Mask(NamedTuple):
    """A region's pixels, with everything that says where they came from.

    >>> Mask(4, 3, "5131N", 0.97, "sam2_hiera_tiny_encoder.onnx@86cde3b2c1f0").runs()
    [5, 1, 3, 2, 1]

    No pixel at all stands for a region of which there is no good mask.
    """

    height: int
    width: int
    counts: str
    """The run lengths, as in `segmentation["counts"]` of COCO."""
    score: float
    """IoU with the true mask as the model predicts it; some models overshoot 1."""
    model: str
    """Model and revision."""

    @classmethod
    def of_pixels(cls, pixels: npt.NDArray[np.bool_], score: float, model: str) -> "Mask":
        """[height, width], true inside -> a mask."""
        from pycocotools import mask

        encoded = mask.encode(np.asfortranarray(pixels, np.uint8))
        height, width = pixels.shape
        return cls(height, width, encoded["counts"].decode(), score, model)

    @classmethod
    def empty(cls, height: int, width: int) -> "Mask":
        """The mask of a region that nothing has segmented."""
        return cls(height, width, _written(height * width), 0.0, "")

    @classmethod
    def from_item(cls, item: object) -> "Mask":
        """An entry of a record's `masks` -> a mask. Raises `ValueError` if it is none."""
        if not isinstance(item, Mapping):
            raise ValueError("not an object with size and counts")
        size, counts, score = item.get("size"), item.get("counts"), item.get("score")
        if not isinstance(size, list) or len(size) != 2 or not all(type(v) is int and v > 0 for v in size):
            raise ValueError(f"size {str(size)[:50]} is not [height, width]")
        height, width = size
        if height * width > MAX_PIXELS:
            raise ValueError(f"{width}x{height} is larger than any image that is decoded")
        if not isinstance(counts, str):
            raise ValueError("counts are not text, as COCO's compressed run lengths are")
        if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
            raise ValueError(f"score {str(score)[:50]} is no number")
        mask = cls(height, width, counts, float(score), str(item.get("model", "")))
        mask.runs()
        return mask

    def to_item(self) -> dict[str, Any]:
        """As a record holds it; `pycocotools.mask.decode` takes it as it is."""
        return {**self.segmentation(), "score": self.score, "model": self.model}

    def segmentation(self) -> dict[str, Any]:
        """As `segmentation` of a COCO annotation: {"size": [height, width], "counts": "..."}."""
        return {"size": [self.height, self.width], "counts": self.counts}

    def runs(self) -> list[int]:
        """Run lengths, outside first. Raises `ValueError` if they are not those of this size."""
        return list(_runs(self.counts, self.height * self.width))

    def pixels(self) -> npt.NDArray[np.bool_]:
        """[height, width], true inside. Unlike pycocotools' decoder it never reads beyond hostile counts."""
        runs = self.runs()
        inside = np.arange(len(runs)) % 2 == 1
        return np.repeat(inside, runs).reshape(self.width, self.height).T

    @property
    def area(self) -> int:
        """Pixels inside."""
        return sum(self.runs()[1::2])

    @property
    def box(self) -> Box | None:
        """The smallest box around it; None around nothing."""
        runs = self.runs()
        ends = list(accumulate(runs))
        inside = [(ends[i - 1], ends[i] - 1) for i in range(1, len(runs), 2) if runs[i]]
        if not inside:
            return None
        height = self.height
        one_column = [(first % height, last % height) for first, last in inside if _same(first, last, height)]
        across = len(one_column) < len(inside)  # from the bottom of a column to the top of the next
        top = 0 if across else min(first for first, _ in one_column)
        bottom = height - 1 if across else max(last for _, last in one_column)
        left, right = inside[0][0] // height, inside[-1][1] // height
        return Box.from_pixels(left, top, right + 1, bottom + 1, self.width, height)


def _written(number: int) -> str:
    """A run length in characters, five bits each from the lowest up, the sixth set where more follow.

    >>> _written(12), _written(640 * 426)
    ('<', 'PXZ8')
    """
    characters = ""
    while True:
        bits, number = number & 31, number >> 5
        # The highest of the last five bits is the sign.
        is_last = not number and not bits & 16
        characters += chr(bits + 48 + (0 if is_last else 32))
        if is_last:
            return characters


def _same(first: int, last: int, height: int) -> bool:
    return first // height == last // height


@lru_cache(maxsize=64)  # area and box of the same mask, one after the other
def _runs(counts: str, total: int) -> tuple[int, ...]:
    runs: list[int] = []
    number = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift == 5 * MAX_CHARACTERS:
            raise ValueError(f"counts hold {character!r} where no run length can have it")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # negative
            number -= 1 << shift
        # From the fourth on each number is the difference to the one before the last.
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("counts end within a number")
    if any(run < 0 for run in runs):
        raise ValueError("counts hold a negative run length")
    if sum(runs) != total:
        raise ValueError(f"run lengths are those of {sum(runs)} pixels, not of {total}")
    return tuple(runs)

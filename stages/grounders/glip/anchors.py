"""Anchors, and boxes told as differences from them."""

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

STRIDES = (8, 16, 32, 64, 128)
"""Pixels between the places of each level of the pyramid."""
SCALE = 8
"""A square of this many strides at each place: 64, 128, 256, 512, 1024 pixels."""
WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""What the differences in centre and size were multiplied by."""
MAX_GROWTH = math.log(1000 / 16)
"""Limit of the logarithm of a size's ratio, before it is raised to a power."""


def anchor_centers(height: int, width: int, stride: int, like: "Tensor") -> "Tensor":
    """[height * width, 2]: x, y in pixels, of the anchors of a level in reading order.

    Pixels are counted from 0 and a box ends within its last pixel, as in maskrcnn-benchmark; so the middle of
    the first eight pixels is 3.5.
    """
    y, x = (torch.arange(n, device=like.device) * stride + (stride - 1) / 2 for n in (height, width))
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1).to(like.dtype)


def decoded(differences: "Tensor", centers: "Tensor", stride: int) -> "Tensor":
    """[n, 4] and [n, 2] -> [n, 4]: left, top, right, bottom, in pixels; the last ones belong to the box."""
    side = SCALE * stride
    moved, grown = (differences / differences.new_tensor(WEIGHTS)).chunk(2, dim=-1)
    middle = moved * side + centers
    half = (grown.clamp(max=MAX_GROWTH).exp() * side - 1) / 2
    return torch.cat([middle - half, middle + half], dim=-1)

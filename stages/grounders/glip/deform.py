"""Modulated deformable convolution (Zhu et al., 2019), of 3x3 taps, without a kernel of its own."""

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

TAPS = 9


def deform_conv(
    x: "Tensor", offset: "Tensor", gain: "Tensor", weight: "Tensor", bias: "Tensor", stride: int
) -> "Tensor":
    """3x3 convolution whose taps are moved and weighed at each place; [B, C, H, W] -> [B, O, h, w].

    `offset` [B, 18, h, w] is down, right, down, right, ... in pixels of `x`, for the taps in reading
    order; `gain` is [B, 9, h, w]; `weight` [O, C, 3, 3]. Beyond the borders there are zeros, one of which
    is there already for the taps (padding 1).
    """
    # Image by image: what the taps read is nine times as large as the image.
    rows = zip(x, offset, gain)
    read = (F.linear(_taps(*row, stride), weight.flatten(1), bias) for row in rows)
    return torch.stack([one.movedim(-1, 0) for one in read])


def output_size(x: "Tensor", stride: int) -> tuple[int, int]:
    """(h, w) of the convolution's result."""
    height, width = x.shape[-2:]
    return (height - 1) // stride + 1, (width - 1) // stride + 1


def _taps(x: "Tensor", offset: "Tensor", gain: "Tensor", stride: int) -> "Tensor":
    """[C, H, W], [18, h, w], [9, h, w] -> [h, w, C * 9], what each tap reads, by its gain."""
    height, width = x.shape[-2:]
    out = offset.shape[-2:]
    down, right = offset.unflatten(0, (TAPS, 2)).unbind(1)
    tap = torch.arange(TAPS, device=x.device)[:, None, None]
    rows = torch.arange(out[0], device=x.device)[:, None] * stride + tap // 3 - 1 + down
    columns = torch.arange(out[1], device=x.device) * stride + tap % 3 - 1 + right
    # grid_sample counts from -1 to 1 between the outer edges of the outer pixels.
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    read = F.grid_sample(x[None], grid.flatten(0, 1)[None], padding_mode="zeros", align_corners=False)
    return (read[0].unflatten(1, (TAPS, -1)) * gain).flatten(0, 1).movedim(0, -1)

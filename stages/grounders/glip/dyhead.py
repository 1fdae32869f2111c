"""Dynamic head (Dai et al., 2021): attention over levels, places and channels, a block at a time."""

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from gritmill.stages.grounders.glip.deform import TAPS, deform_conv, output_size

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = 16
"""Of the group normalization."""


class DyBlock(nn.Module):
    """Each level from itself and its neighbours; the text passes by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Applied to the coarser level, to the level itself and to the finer one.
        self.DyConv = nn.ModuleList(DeformNorm(channels, stride) for stride in (1, 1, 2))
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 1, 1), nn.ReLU())
        self.relu = DyReLU(channels)
        self.offset = nn.Conv2d(channels, 3 * TAPS, 3, padding=1)

    def forward(self, maps: "list[Tensor]", text: "Tensor", mask: "Tensor") -> "tuple[list[Tensor], Tensor]":
        return [self._level(maps, i) for i in range(len(maps))], text

    def _level(self, maps: "list[Tensor]", i: int) -> "Tensor":
        from_coarser, from_itself, from_finer = self.DyConv
        taps = self.offset(maps[i])
        seen = [from_itself(maps[i], taps)]
        if i > 0:
            seen.append(from_finer(maps[i - 1], taps))
        if i < len(maps) - 1:
            small = from_coarser(maps[i + 1], taps)
            size = maps[i].shape[-2:]
            seen.append(F.interpolate(small, size=size, mode="bilinear", align_corners=True))
        weighed = [x * F.hardsigmoid(self.AttnConv(x)) for x in seen]
        return self.relu(torch.stack(weighed).mean(dim=0))


class DeformNorm(nn.Module):
    """Deformable convolution and group normalization."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = DeformConv(channels)
        self.bn = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: "Tensor", taps: "Tensor") -> "Tensor":
        """`taps` [B, 27, H, W]: 18 offsets and 9 gains for each place of the block's level."""
        size = output_size(x, self.stride)
        offset = as_stored(taps[:, : 2 * TAPS], size)
        gain = as_stored(taps[:, 2 * TAPS :].sigmoid(), size)
        return self.bn(deform_conv(x, offset, gain, self.conv.weight, self.conv.bias, self.stride))


class DeformConv(nn.Module):
    """The weights of a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))


class DyReLU(nn.Module):
    """The greater of two lines through each value; their slopes and heights depend on the whole map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, 4 * channels)
        )

    def forward(self, x: "Tensor") -> "Tensor":
        lines = F.hardsigmoid(self.fc(x.mean(dim=(2, 3))))[:, :, None, None] - 0.5
        slope, height, other_slope, other_height = lines.chunk(4, dim=1)
        return torch.maximum(x * (2 * slope + 1) + height, x * (2 * other_slope) + other_height)


def as_stored(x: "Tensor", size: tuple[int, int]) -> "Tensor":
    """The beginning of each image's values, [B, C, H, W], read as [C, h, w], no larger than they are.

    A block takes the offsets of its own level for the coarser level too, which has a quarter of the places.
    The kernel that GLIP was trained with (`deform_conv_kernel_cuda.cu`, like mmcv's) knows no size but its
    output's and reads the offsets' memory as if it had that. The weights have learnt to live with it.
    """
    height, width = size
    return x.flatten(1)[:, : x.shape[1] * height * width].unflatten(1, (x.shape[1], height, width))

"""Feature pyramid (Lin et al., 2017) with RetinaNet's two extra levels."""

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


class FeaturePyramid(nn.Module):
    """Maps of strides 8, 16, 32 -> maps of `channels` and strides 8, 16, 32, 64, 128."""

    def __init__(self, widths: list[int], channels: int) -> None:
        super().__init__()
        self.levels = range(2, 2 + len(widths))  # counted from the backbone's first stage, which is 1
        for level, width in zip(self.levels, widths):
            self.add_module(f"fpn_inner{level}", nn.Conv2d(width, channels, 1))
            self.add_module(f"fpn_layer{level}", nn.Conv2d(channels, channels, 3, padding=1))
        self.top_blocks = TopBlocks(channels)

    def forward(self, maps: "list[Tensor]") -> "list[Tensor]":
        pyramid: list[Tensor] = []
        coarser = None
        for level, x in zip(reversed(self.levels), reversed(maps)):
            x = self.get_submodule(f"fpn_inner{level}")(x)
            if coarser is not None:
                x = x + F.interpolate(coarser, size=x.shape[-2:], mode="nearest")
            pyramid.insert(0, self.get_submodule(f"fpn_layer{level}")(x))
            coarser = x
        return [*pyramid, *self.top_blocks(pyramid[-1])]


class TopBlocks(nn.Module):
    """Two more levels, each half the size of the one before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        p6 = self.p6(x)
        return p6, self.p7(F.relu(p6))

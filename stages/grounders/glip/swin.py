"""Swin Transformer (Liu et al., 2021), as the image backbone of a detector.

Attributes bear the names of the official checkpoints; so do those of all modules of this package.
"""

import functools
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 4
"""Pixels of a patch's side."""
APART = -100.0
"""Added to the attention between patches that only the cyclic shift made neighbours."""


class Swin(nn.Module):
    """[B, 3, H, W], sides multiples of 32 -> feature maps of strides 8, 16 and 32."""

    def __init__(self, channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(channels)
        widths = [channels * 2**i for i in range(len(depths))]
        self.layers = nn.ModuleList(
            SwinStage(width, depth, head, window, is_last=i == len(depths) - 1)
            for i, (width, depth, head) in enumerate(zip(widths, depths, heads))
        )
        for i, width in enumerate(widths[1:], start=1):
            self.add_module(f"norm{i}", nn.LayerNorm(width))

    def forward(self, image: "Tensor") -> "list[Tensor]":
        x = self.patch_embed(image)
        maps = []
        for i, stage in enumerate(self.layers):
            x = stage(x)
            if i > 0:  # the finest map is not used
                maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps


class PatchEmbedding(nn.Module):
    """[B, 3, H, W] -> [B, H / 4, W / 4, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: "Tensor") -> "Tensor":
        return self.norm(self.proj(image).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """Blocks of one resolution, every second one with shifted windows; [B, H, W, C] -> the same."""

    def __init__(self, channels: int, depth: int, heads: int, window: int, is_last: bool) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2
        self.blocks = nn.ModuleList(
            Block(channels, heads, window, self.shift if i % 2 else 0) for i in range(depth)
        )
        self.downsample = None if is_last else PatchMerging(channels)

    def forward(self, x: "Tensor") -> "Tensor":
        height, width = x.shape[1:3]
        # After normalization, in each block: padded patches count as zeros there, not as its bias.
        padding = (-width % self.window, -height % self.window)
        apart = self._apart(height + padding[1], width + padding[0], x)
        for block in self.blocks:
            x = block(x, padding, apart)
        return x

    def _apart(self, height: int, width: int, like: "Tensor") -> "Tensor":
        """[windows, 1, N, N]: what separates the patches of a window that the shift wrapped around."""
        region = torch.zeros(height, width, device=like.device)
        for edge in (self.window, self.shift):
            region[-edge:, :] += 3
            region[:, -edge:] += 1
        of_window = windows(region[None, :, :, None], self.window)[..., 0]
        differs = of_window[:, None, :] != of_window[:, :, None]
        return differs.to(like.dtype)[:, None] * APART


class Block(nn.Module):
    """Attention within (shifted) windows, then a perceptron, each on a residual path."""

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Perceptron(channels)

    def forward(self, x: "Tensor", padding: tuple[int, int], apart: "Tensor") -> "Tensor":
        x = x + self._attended(self.norm1(x), padding, apart)
        return x + self.mlp(self.norm2(x))

    def _attended(self, x: "Tensor", padding: tuple[int, int], apart: "Tensor") -> "Tensor":
        batch, height, width, _ = x.shape
        x = F.pad(x, (0, 0, 0, padding[0], 0, padding[1]))
        padded = x.shape[1:3]
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        cut = windows(x, self.window).unflatten(0, (batch, -1))
        cut = self.attn(cut, apart if self.shift else None)
        x = assembled(cut.flatten(0, 1), self.window, *padded)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]


class WindowAttention(nn.Module):
    """Multi-head self-attention of the patches of a window, with a bias for how they lie to each other."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, x: "Tensor", apart: "Tensor | None") -> "Tensor":
        """[B, windows, N, C] and [windows, 1, N, N] or None -> [B, windows, N, C]."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        pairs = _relative_positions(self.window).to(x.device)
        bias = self.relative_position_bias_table[pairs].permute(2, 0, 1)
        mask = bias if apart is None else bias + apart
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.proj(out.transpose(2, 3).flatten(-2))


class Perceptron(nn.Module):
    """Two layers, four times as wide in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: "Tensor") -> "Tensor":
        return self.fc2(F.gelu(self.fc1(x)))


class PatchMerging(nn.Module):
    """[B, H, W, C] -> [B, H / 2, W / 2, 2C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: "Tensor") -> "Tensor":
        # Down the columns first: the order in which the weights were trained.
        quarters = [x[:, row::2, column::2] for column, row in product((0, 1), repeat=2)]
        return self.reduction(self.norm(torch.cat(quarters, dim=-1)))


def windows(x: "Tensor", side: int) -> "Tensor":
    """[B, H, W, C] -> [B * windows, side * side, C], windows in reading order."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def assembled(x: "Tensor", side: int, height: int, width: int) -> "Tensor":
    """The inverse of `windows`."""
    x = x.reshape(-1, height // side, width // side, side, side, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


@functools.cache
def _relative_positions(window: int) -> "Tensor":
    """[N, N]: the row of the table for each pair of patches."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    apart = places[:, None] - places[None, :] + window - 1
    return apart[..., 0] * (2 * window - 1) + apart[..., 1]

"""Deep fusion: image and text attend to each other before each block of the head (GLIP, section 3.3)."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from gritmill.stages.grounders.glip.bert import clamped

if TYPE_CHECKING:
    from torch import Tensor

HEADS = 8
"""Heads of the attention between image and text, in every GLIP."""


class Fusion(nn.Module):
    """All levels as one sequence attend to the text and the text to them."""

    def __init__(self, channels: int, text_channels: int, width: int) -> None:
        super().__init__()
        self.b_attn = FusionBlock(channels, text_channels, width)

    def forward(self, maps: "list[Tensor]", text: "Tensor", mask: "Tensor") -> "tuple[list[Tensor], Tensor]":
        sizes = [x.shape[-2:] for x in maps]
        places = torch.cat([x.flatten(2) for x in maps], dim=2).transpose(1, 2)
        places, text = self.b_attn(places, text, mask)
        parts = places.transpose(1, 2).split([h * w for h, w in sizes], dim=2)
        return [x.unflatten(2, size).contiguous() for x, size in zip(parts, sizes)], text


class FusionBlock(nn.Module):
    """Normalizes both sides and adds to each, scaled by a gain for each channel, what it saw in the other."""

    def __init__(self, channels: int, text_channels: int, width: int) -> None:
        super().__init__()
        self.layer_norm_v = nn.LayerNorm(channels)
        self.layer_norm_l = nn.LayerNorm(text_channels)
        self.attn = BiAttention(channels, text_channels, width)
        self.gamma_v = nn.Parameter(torch.ones(channels))
        self.gamma_l = nn.Parameter(torch.ones(text_channels))

    def forward(self, places: "Tensor", text: "Tensor", mask: "Tensor") -> "tuple[Tensor, Tensor]":
        # The residual path starts after the normalization, unlike in a usual transformer.
        places, text = self.layer_norm_v(places), self.layer_norm_l(text)
        seen_by_places, seen_by_text = self.attn(places, text, mask)
        return places + self.gamma_v * seen_by_places, text + self.gamma_l * seen_by_text


class BiAttention(nn.Module):
    """One matrix of scores for both directions: its rows weigh the text, its columns the image."""

    def __init__(self, channels: int, text_channels: int, width: int) -> None:
        super().__init__()
        self.scale = (width // HEADS) ** -0.5
        self.v_proj = nn.Linear(channels, width)
        self.l_proj = nn.Linear(text_channels, width)
        self.values_v_proj = nn.Linear(channels, width)
        self.values_l_proj = nn.Linear(text_channels, width)
        self.out_v_proj = nn.Linear(width, channels)
        self.out_l_proj = nn.Linear(width, text_channels)

    def forward(self, places: "Tensor", text: "Tensor", mask: "Tensor") -> "tuple[Tensor, Tensor]":
        """[B, places, C], [B, T, C'] and [B, T] -> what each place and each token saw."""
        queries, keys = _heads(self.v_proj(places) * self.scale), _heads(self.l_proj(text))
        scores = clamped(queries @ keys.transpose(-1, -2))
        # Places are not masked: the padding of an image takes part, as it did in training.
        to_text = scores.transpose(-1, -2).softmax(dim=-1) @ _heads(self.values_v_proj(places))
        scores = scores.masked_fill(mask[:, None, None] == 0, -torch.inf)
        to_places = scores.softmax(dim=-1) @ _heads(self.values_l_proj(text))
        return self.out_v_proj(_merged(to_places)), self.out_l_proj(_merged(to_text))


def _heads(x: "Tensor") -> "Tensor":
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def _merged(x: "Tensor") -> "Tensor":
    return x.transpose(1, 2).flatten(-2)

"""The head: a tower of blocks, then for each place a box, how centred it is, and a score for each token."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from gritmill.stages.grounders.glip.anchors import STRIDES
from gritmill.stages.grounders.glip.bert import TextLayer, clamped
from gritmill.stages.grounders.glip.config import Config
from gritmill.stages.grounders.glip.dyhead import DyBlock
from gritmill.stages.grounders.glip.fusion import Fusion

if TYPE_CHECKING:
    from torch import Tensor


class Level(NamedTuple):
    """What the head says of the places of one level of the pyramid, in reading order."""

    logits: "Tensor"
    """[B, height * width, tokens]"""
    differences: "Tensor"
    """[B, height * width, 4]: see `anchors.decoded`."""
    centredness: "Tensor"
    """[B, height * width], logits."""
    size: tuple[int, int]
    """(height, width)"""


class AlignmentHead(nn.Module):
    """Pyramid and text -> the levels' answers, the score of a token being a product of place and token."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels, text = config.channels, config.text_channels
        self.fuses = config.fusion_channels > 0
        tower: list[nn.Module] = []
        for _ in range(config.blocks):
            if self.fuses:
                tower += [Fusion(channels, text, config.fusion_channels), TextLayer(text, config.text_hidden)]
            tower.append(DyBlock(channels))
        self.dyhead_tower = nn.ModuleList(tower)
        self.bbox_pred = nn.Conv2d(channels, 4, 1)
        self.centerness = nn.Conv2d(channels, 1, 1)
        self.scales = nn.ModuleList(Scale() for _ in STRIDES)
        self.dot_product_projection_text = nn.Linear(text, channels)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bias_lang = nn.Parameter(torch.zeros(text))
        self.bias0 = nn.Parameter(torch.zeros(1))

    def forward(self, maps: "list[Tensor]", text: "Tensor", mask: "Tensor") -> list[Level]:
        """Maps [B, C, h, w], text [B, T, C'] and its mask [B, T] -> a `Level` for each map."""
        # Without fusion, tokens of padding were zeros before the product.
        tokens = text if self.fuses else text * mask[..., None]
        for layer in self.dyhead_tower:
            maps, text = layer(maps, text, mask)
        tokens = F.normalize(text if self.fuses else tokens, dim=-1)
        projected = self.dot_product_projection_text(tokens / 2) / self.log_scale.exp()
        bias = tokens @ self.bias_lang + self.bias0
        return [
            Level(
                clamped(_places(x) @ projected.transpose(1, 2) + bias[:, None]),
                _places(self.bbox_pred(x) * scale.scale),
                _places(self.centerness(x))[..., 0],
                (x.shape[2], x.shape[3]),
            )
            for x, scale in zip(maps, self.scales)
        ]


class Scale(nn.Module):
    """A factor for the boxes of a level."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


def _places(x: "Tensor") -> "Tensor":
    """[B, C, h, w] -> [B, h * w, C]"""
    return x.flatten(2).transpose(1, 2)

"""GLIP (Li et al., 2022), put together from its parts."""

from typing import TYPE_CHECKING

from torch import nn

from gritmill.stages.grounders.glip.bert import TextEncoder
from gritmill.stages.grounders.glip.config import Config
from gritmill.stages.grounders.glip.fpn import FeaturePyramid
from gritmill.stages.grounders.glip.head import AlignmentHead, Level
from gritmill.stages.grounders.glip.swin import Swin

if TYPE_CHECKING:
    from torch import Tensor


class Glip(nn.Module):
    """Images and tokenized prompts -> scores of every token at every place, and boxes there.

    Its `state_dict()` has the names and shapes of the official checkpoints, less what those hold for
    training only (see `checkpoint.UNUSED`).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.vocabulary, self.positions = config.vocabulary, config.positions
        widths = [config.swin_channels * 2**i for i in range(1, len(config.swin_depths))]
        self.backbone = nn.ModuleDict(
            {
                "body": Swin(config.swin_channels, config.swin_depths, config.swin_heads, config.swin_window),
                "fpn": FeaturePyramid(widths, config.channels),
            }
        )
        self.language_backbone = nn.ModuleDict({"body": TextEncoder(config)})
        self.rpn = nn.ModuleDict({"head": AlignmentHead(config)})

    def forward(self, pixels: "Tensor", ids: "Tensor", mask: "Tensor") -> list[Level]:
        """`pixels` [B, 3, H, W], sides multiples of 32; `ids` and `mask` [B, T] -> levels, finest first."""
        text = self.language_backbone["body"](ids, mask)
        maps = self.backbone["fpn"](self.backbone["body"](pixels))
        return self.rpn["head"](maps, text, mask)

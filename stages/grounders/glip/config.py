"""The sizes of a GLIP: published ones, and those that a checkpoint's own tensors tell."""

from collections.abc import Mapping
from typing import NamedTuple

Shape = tuple[int, ...]

BERT_HEAD = 64
"""Channels of an attention head of BERT, whatever its size (Devlin et al., 2019, table 6)."""


class Config(NamedTuple):
    """What differs between GLIPs; what they share is written where it is used.

    Sources: `configs/pretrain/*.yaml` and `maskrcnn_benchmark/config/defaults.py` of microsoft/GLIP.
    """

    swin_channels: int = 96
    swin_depths: tuple[int, ...] = (2, 2, 6, 2)
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)
    swin_window: int = 7
    channels: int = 256
    """Channels of the feature pyramid and of the head."""
    blocks: int = 6
    """Dynamic-head blocks, each with its fusion of image and text where there is fusion."""
    fusion_channels: int = 2048
    """Width of the attention between image and text; 0 without early fusion (variant A)."""
    text_channels: int = 768
    text_layers: int = 12
    text_hidden: int = 3072
    """Width of the feed-forward part of a layer of BERT."""
    vocabulary: int = 30522
    positions: int = 512
    """Longest text of the text encoder; prompts are cut at 256 tokens whatever it says."""


GLIP_T = Config()
"""GLIP-T, variants B and C and the one trained on captions too: `glip_tiny_model_o365*.pth`."""
GLIP_T_A = Config(fusion_channels=0)
"""GLIP-T variant A, where image and text meet in the last product only: `glip_a_tiny_o365.pth`."""
GLIP_L = Config(
    swin_channels=192, swin_depths=(2, 2, 18, 2), swin_heads=(6, 12, 24, 48), swin_window=12, blocks=8
)
"""GLIP-L: `glip_large_model.pth`."""


def config_of(shapes: Mapping[str, Shape]) -> Config:
    """The sizes of the model that tensors of these names and shapes make up.

    Raises `KeyError` with the name of a tensor that GLIP has and these do not.
    """
    swin, bert = "backbone.body", "language_backbone.body.model"
    stages = max(_count(shapes, f"{swin}.layers."), 1)
    biases = [shapes[f"{swin}.layers.{i}.blocks.0.attn.relative_position_bias_table"] for i in range(stages)]
    fuses = any(name.startswith("rpn.head.dyhead_tower.0.b_attn.") for name in shapes)
    tower = _count(shapes, "rpn.head.dyhead_tower.")
    words = shapes[f"{bert}.embeddings.word_embeddings.weight"]
    return Config(
        swin_channels=shapes[f"{swin}.patch_embed.proj.weight"][0],
        swin_depths=tuple(_count(shapes, f"{swin}.layers.{i}.blocks.") for i in range(stages)),
        swin_heads=tuple(heads for _, heads in biases),
        # A table of (2w - 1) x (2w - 1) offsets within a window of w x w.
        swin_window=(round(biases[0][0] ** 0.5) + 1) // 2,
        channels=shapes["rpn.head.bbox_pred.weight"][1],
        blocks=tower // 3 if fuses else tower,
        fusion_channels=shapes["rpn.head.dyhead_tower.0.b_attn.attn.v_proj.weight"][0] if fuses else 0,
        text_channels=words[1],
        text_layers=_count(shapes, f"{bert}.encoder.layer."),
        text_hidden=shapes[f"{bert}.encoder.layer.0.intermediate.dense.weight"][0],
        vocabulary=words[0],
        positions=shapes[f"{bert}.embeddings.position_embeddings.weight"][0],
    )


def _count(shapes: Mapping[str, Shape], prefix: str) -> int:
    """How many different members follow the prefix: `layers.` of layers.0.x, layers.1.x -> 2."""
    return len({name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)})

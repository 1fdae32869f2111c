"""The text side: BERT, and the layers of it that stand between the blocks of the head."""

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from gritmill.stages.grounders.glip.config import BERT_HEAD, Config

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 50_000.0
"""Values are kept within this on both sides, so that half precision did not overflow in training."""
EPSILON = 1e-12


def clamped(x: "Tensor") -> "Tensor":
    return x.clamp(-LIMIT, LIMIT)


class TextEncoder(nn.Module):
    """Token ids and mask, [B, T] -> [B, T, C], the last layer of BERT."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.model = BertModel(
            BertConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.text_channels,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_channels // BERT_HEAD,
                intermediate_size=config.text_hidden,
                max_position_embeddings=config.positions,
            ),
            add_pooling_layer=False,
        )
        # Told with each text instead, so that a model can be made before there is memory for it.
        self.model.embeddings.position_ids = None
        self.model.embeddings.token_type_ids = None

    def forward(self, ids: "Tensor", mask: "Tensor") -> "Tensor":
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            token_type_ids=torch.zeros_like(ids),
        ).last_hidden_state


class TextLayer(nn.Module):
    """A layer of BERT on the fused text, its values clamped; the image passes by."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(channels), "output": Addition(channels, channels)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(channels, hidden)})
        self.output = Addition(hidden, channels)

    def forward(self, maps: "list[Tensor]", text: "Tensor", mask: "Tensor") -> "tuple[list[Tensor], Tensor]":
        text = self.attention["output"](self.attention["self"](text, mask), text)
        hidden = clamped(F.gelu(clamped(self.intermediate["dense"](text))))
        return maps, clamped(self.output(hidden, text))


class SelfAttention(nn.Module):
    """Multi-head attention among the tokens of a text."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)

    def forward(self, text: "Tensor", mask: "Tensor") -> "Tensor":
        query, key, value = (
            projection(text).unflatten(-1, (-1, BERT_HEAD)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        scores = clamped(query @ key.transpose(-1, -2) / math.sqrt(BERT_HEAD))
        scores = scores.masked_fill(mask[:, None, None] == 0, -torch.inf)
        return (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(-2)


class Addition(nn.Module):
    """Projects, adds the residual path and normalizes."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels_in, channels)
        self.LayerNorm = nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, x: "Tensor", residual: "Tensor") -> "Tensor":
        return self.LayerNorm(clamped(self.dense(x)) + residual)

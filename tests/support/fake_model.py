"""A model that says what a test tells it to, behind the interface of a real one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL.Image import Image as PILImage

from gritmill.schemas.dialects import DIALECTS
from gritmill.trainer.data.examples import Example
from gritmill.trainer.models.base import Adapter, Batch, Prompt, Tensors

Reply = Callable[[Prompt, PILImage], str]


class FakeAdapter(Adapter):
    """Puts the reply where a real one has its prompt, so that a model which only copies gives it."""

    model_types = ("fake",)
    default_dialect = "digits"
    parts = {}
    lora_targets = ()

    def __init__(self, reply: Reply, dialect: str = "digits") -> None:
        super().__init__(None, DIALECTS[dialect], 512)
        self.reply = reply
        self.asked: list[tuple[Prompt, bool]] = []
        self.batches: list[int] = []

    def train_batch(self, examples: Sequence[Example]) -> Batch:
        raise NotImplementedError

    def ask_batch(self, images: Sequence[PILImage], asked: Sequence[Prompt], native: bool) -> Tensors:
        self.asked += [(one, native) for one in asked]
        self.batches.append(len(images))
        replies = [self.reply(one, image).encode() for one, image in zip(asked, images, strict=True)]
        longest = max(map(len, replies))
        rows = [list(reply.ljust(longest, b"\0")) for reply in replies]
        return {
            "input_ids": torch.tensor(rows, dtype=torch.int64),
            "pixel_values": torch.zeros(len(rows), 3, dtype=torch.float64),
        }

    def answers(self, generated: Any, inputs: Tensors) -> list[str]:
        return [bytes(row).rstrip(b"\0").decode() for row in generated.tolist()]


class FakeModel(torch.nn.Module):
    """Greedy, and strict about how it is called."""

    device = torch.device("cpu")
    dtype = torch.float32

    def generate(
        self, *, input_ids: torch.Tensor, pixel_values: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        assert options == {"do_sample": False, "num_beams": 1, "max_new_tokens": 64}
        assert (input_ids.dtype, pixel_values.dtype) == (torch.int64, torch.float32)
        return input_ids

"""A loaded Grounding DINO of the original package behind the interface of a zero-shot detector."""

from collections.abc import Hashable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gritmill.stages.grounders.common.detector import Detector, DetectorInput
from gritmill.stages.grounders.common.token_span import TokenSpanDetector
from gritmill.stages.grounders.glip.detector import scaled_size

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue, 0..1."""
MAX_TOKENS = 256
"""Of a prompt, with the two special ones at its ends (`max_text_len` of the official configs)."""


class GroundingDinoDetector(TokenSpanDetector):
    """Asked "a dog. a field.", in float32 and without padding, as by the authors' own `predict`."""

    def __init__(self, model: Any, tokenizer: Any, device: str) -> None:
        super().__init__(model.to(device), None, tokenizer, device)

    def pixels(self, image: "PILImage") -> "Tensor":
        small = image.resize(scaled_size(*image.size), resample=2)  # bilinear
        rgb = torch.from_numpy(np.array(small, dtype=np.float32)) / 255
        return ((rgb - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)

    def kind(self, question: DetectorInput) -> Hashable:
        # The package gives the attention masks of a batch to the wrong rows (its `repeat(nhead, 1, 1)` goes
        # by heads, torch by rows), which does no harm only where all are the same.
        layout = tuple(self._count(phrase) for phrase in question.phrases)
        return Detector.kind(self, question), layout

    def _on_canvas(self, pixels: "Sequence[Tensor]") -> "tuple[Tensor, Tensor]":
        image = torch.stack(list(pixels)).to(self.device)
        return image, torch.ones_like(image[:, 0], dtype=torch.long)

    def _run(self, **inputs: Any) -> Any:
        from transformers import BatchEncoding

        image = inputs.pop("pixel_values")
        del inputs["pixel_mask"]  # nothing is padded
        # The model tokenizes by itself; so it is handed the tokens whose characters are known here.
        self.model.tokenizer = lambda *args, **options: BatchEncoding(inputs)
        with torch.inference_mode():
            found = self.model(image, captions=[""] * len(image))
        return SimpleNamespace(logits=found["pred_logits"], pred_boxes=found["pred_boxes"])

    def _room(self) -> int:
        return MAX_TOKENS - self.tokenizer.num_special_tokens_to_add()

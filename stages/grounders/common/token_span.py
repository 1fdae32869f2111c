"""Grounding DINO, MM-Grounding-DINO and LLMDet: all phrases in one text, a score for each of its tokens."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Literal

from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput
from gritmill.stages.grounders.common.phrases import joined, packed, tokens_within

if TYPE_CHECKING:
    from torch import Tensor

CANVAS_STEP = 64
"""Images are padded to a multiple of this. So their padding, which a vision backbone can see a little
of, is their own affair, and images of nearly the same shape still share a batch."""


class TokenSpanDetector(Detector):
    """Asked "a dog. a field." Which tokens are whose is known from character offsets, never from decoded
    strings, which merge neighbouring phrases."""

    # The model's attention between words stops at these tokens.
    delimiters = ".?"

    aggregation: Literal["max", "mean"] = "max"

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        sizes = [self._count(f"{phrase}.") for phrase in phrases]
        return [[phrases[i] for i in prompt] for prompt in packed(sizes, self._room())]

    def kind(self, question: DetectorInput) -> Hashable:
        return _canvas(question.pixels)

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        import torch

        texts, spans = zip(*(joined(question.phrases, end=".", gap=" ") for question in questions))
        encoded = self._tokens(texts, padding=True, return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping").tolist()
        image, mask = self._on_canvas([question.pixels for question in questions])
        output = self._run(pixel_values=image, pixel_mask=mask, **encoded.to(self.device))
        scores = output.logits.float().sigmoid().cpu()
        centers = output.pred_boxes.float().cpu()
        return [
            Detections(
                torch.stack(
                    [self._of(scores[i], tokens_within(offsets[i], *span)) for span in spans[i]], dim=1
                ),
                centers[i],
            )
            for i in range(len(questions))
        ]

    def _of(self, scores: "Tensor", tokens: list[int]) -> "Tensor":
        """[queries, tokens of the text] -> [queries], the score of the phrase that these tokens are."""
        phrase = scores[:, tokens]
        return phrase.amax(dim=1) if self.aggregation == "max" else phrase.mean(dim=1)

    def _on_canvas(self, pixels: Sequence["Tensor"]) -> "tuple[Tensor, Tensor]":
        import torch

        height, width = _canvas(pixels[0])
        image = torch.zeros(len(pixels), 3, height, width)
        mask = torch.zeros(len(pixels), height, width, dtype=torch.long)
        for i, one in enumerate(pixels):
            image[i, :, : one.shape[1], : one.shape[2]] = one
            mask[i, : one.shape[1], : one.shape[2]] = 1
        return image.to(self.device), mask.to(self.device)

    def _room_for_phrase(self) -> int:
        return self._room() - 1  # its full stop


def _canvas(pixels: "Tensor") -> tuple[int, int]:
    height, width = (-(-side // CANVAS_STEP) * CANVAS_STEP for side in pixels.shape[-2:])
    return height, width

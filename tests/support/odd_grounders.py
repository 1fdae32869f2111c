"""Grounders that behave badly, or that are easy to judge, and a segmenter of that kind."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.base import Ground
from gritmill.stages.grounders.common.detecting import DetectorGrounder
from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput
from gritmill.stages.segmenters.base import Segment

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import Tensor


class WholeImage(Ground):
    """Every noun chunk -> the whole image."""

    grounder: Literal["whole_image"] = "whole_image"

    def process(self, batch: Columns) -> Columns:
        return {
            "candidates": [
                [GroundedBox(span, Box(0, 0, 1, 1), 1.0, "whole_image", span.of(caption)) for span in chunks]
                for caption, chunks in zip(batch["caption"], batch["noun_chunks"], strict=True)
            ]
        }


class Stumbling(WholeImage):
    """Raises at captions of an odd length."""

    def process(self, batch: Columns) -> Columns:
        if any(len(caption) % 2 for caption in batch["caption"]):
            raise ValueError("odd")
        return super().process(batch)


class Dying(WholeImage):
    def process(self, batch: Columns) -> Columns:
        os._exit(9)


class Weightless(WholeImage):
    def setup(self) -> None:
        raise UserError("model 'x' has no weights; fetch it again")


class Fixed(Ground):
    """The same candidates for every sample, or a `Reject`."""

    grounder: Literal["fixed"] = "fixed"
    candidates: list[GroundedBox] = []
    reject: str = ""

    def process(self, batch: Columns) -> Columns:
        found = Reject(self.reject) if self.reject else self.candidates
        return {"candidates": [found for _ in batch["caption"]]}


class Crowded(DetectorGrounder):
    """Every noun chunk -> the whole image, by a detector on a GPU with memory for `room` images at once."""

    grounder: Literal["crowded"] = "crowded"
    room: int
    gpus: float | None = 0

    passes: ClassVar[list[int]] = []
    """How many images each pass was tried with."""

    def _load(self) -> tuple[Detector, str]:
        return CrowdedDetector(self.room), "crowded"


class CrowdedDetector(Detector):
    def __init__(self, room: int) -> None:
        self.room = room

    def asked(self, phrase: str) -> str:
        return phrase

    def prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        return [list(phrases)]

    def pixels(self, image: "PILImage") -> "Tensor":
        import torch

        return torch.zeros(3, 8, 8)

    def answer(self, questions: Sequence[DetectorInput]) -> list[Detections]:
        import torch

        Crowded.passes.append(len(questions))
        if len(questions) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
        return [Detections(torch.full((1, len(question.phrases)), 0.9), whole) for question in questions]


class LeftPart(Segment):
    """Leaves of each box the left 40 %."""

    segmenter: Literal["left_part"] = "left_part"

    def setup(self) -> None:
        pass

    def process(self, batch: Columns) -> Columns:
        return {"boxes": [[_left(one) for one in boxes] for boxes in batch["boxes"]], "masks": batch["boxes"]}


def _left(grounded: GroundedBox) -> GroundedBox:
    x1, y1, x2, y2 = grounded.box
    return grounded._replace(box=Box(x1, y1, x1 + 0.4 * (x2 - x1), y2))

"""Grounders that behave badly, or that are easy to judge."""

import os
from typing import Literal

from schemas.boxes import Box
from schemas.columns import Columns, GroundedBox, Reject
from schemas.errors import UserError
from stages.grounders.base import Ground


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

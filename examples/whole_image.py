from typing import Literal

from gritmill import Box, Columns, Ground, GroundedBox


class WholeImage(Ground):
    """Every noun chunk -> the whole image: a baseline that any detector should beat."""

    grounder: Literal["whole_image"] = "whole_image"

    def process(self, batch: Columns) -> Columns:
        return {
            "candidates": [
                [GroundedBox(span, Box(0, 0, 1, 1), 1.0, "whole_image", span.of(caption)) for span in chunks]
                for caption, chunks in zip(batch["caption"], batch["noun_chunks"], strict=True)
            ]
        }

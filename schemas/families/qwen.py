"""Qwen-VL's processors for images alone, and the sizes that they give them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers

from gritmill.schemas.dialects import STRETCH, Dialect, Geometry, resized
from gritmill.schemas.dialects.numbers import Coordinates


def geometry(image_processor: Any) -> Geometry:
    """The sizes that this very processor gives its pictures: boxes in pixels depend on them, and what it
    refuses is a bad example."""
    size = image_processor.size
    return resized(
        factor=image_processor.patch_size * image_processor.merge_size,
        min_pixels=size["shortest_edge"],
        max_pixels=size["longest_edge"],
    )


def shown(dialect: Dialect, image_processor: Any) -> Dialect:
    """A dialect as this very processor's pictures need it."""
    in_pixels = isinstance(dialect.numbers, Coordinates) and dialect.numbers.steps is None
    if in_pixels or dialect.geometry == STRETCH:
        return replace(dialect, geometry=geometry(image_processor))
    return dialect


class _ImagesOnly:
    """A processor without the video processor of its family, which would need torchvision."""

    video_processor_type = "Qwen2VLVideoProcessor"

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    def save_pretrained(self, save_directory: str, **options: Any) -> Any:
        """Names the video processor as well, without which `AutoProcessor` would refuse the folder."""
        saved = super().save_pretrained(save_directory, **options)  # type: ignore[misc]
        named = json.dumps({"video_processor_type": self.video_processor_type})
        Path(save_directory, "video_preprocessor_config.json").write_text(named, encoding="utf-8")
        return saved


# Their names are those of `transformers`, which a saved processor tells.


class Qwen2VLProcessor(_ImagesOnly, transformers.Qwen2VLProcessor):
    """Qwen2-VL's, for images."""


class Qwen2_5_VLProcessor(_ImagesOnly, transformers.Qwen2_5_VLProcessor):
    """Qwen2.5-VL's, for images."""


class Qwen3VLProcessor(_ImagesOnly, transformers.Qwen3VLProcessor):
    """Qwen3-VL's, for images."""

    video_processor_type = "Qwen3VLVideoProcessor"

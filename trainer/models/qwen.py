"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: images keep their shape, at a size that depends on their pixels."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import transformers

from schemas.dialects import STRETCH, Dialect, Geometry, resized
from schemas.dialects.numbers import Coordinates
from trainer.models.chat import templated
from trainer.models.decoder import DecoderAdapter
from trainer.models.masking import Segment
from trainer.models.turns import Turns


class QwenAdapter(DecoderAdapter):
    """What the generations have in common; they differ in how they spell boxes.

    `<|im_start|>user\\n<|vision_start|><|image_pad|><|vision_end|>Where is the dog?<|im_end|>\\n`
    `<|im_start|>assistant\\n[{"bbox_2d": [77, 119, 283, 391]}]<|im_end|>`
    """

    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.visual.patch_embed.", "model.visual.pos_embed.", "model.visual.blocks."),
        "connector": ("model.visual.merger.", "model.visual.deepstack_merger_list."),
        "language": ("model.language_model.", "lm_head."),
    }
    lora_targets: ClassVar[tuple[str, ...]] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    processor_type: ClassVar[type[Any]]
    """Loads what the checkpoint has for images."""

    def __init__(self, processor: Any, dialect: Dialect, max_length: int) -> None:
        in_pixels = isinstance(dialect.numbers, Coordinates) and dialect.numbers.steps is None
        if in_pixels or dialect.geometry == STRETCH:
            dialect = replace(dialect, geometry=_geometry(processor.image_processor))
        super().__init__(processor, dialect, max_length)

    @classmethod
    def load_processor(cls, source: str, **options: Any) -> Any:
        return cls.processor_type.from_pretrained(source, **options)

    @property
    def end(self) -> str:
        return "<|im_end|>"

    def segments(self, turns: Turns) -> list[Segment]:
        return templated(self.processor, turns, self.end)


def _geometry(image_processor: Any) -> Geometry:
    """The sizes that this very processor gives its pictures: boxes in pixels depend on them, and what it
    refuses is a bad example."""
    size = image_processor.size
    return resized(
        factor=image_processor.patch_size * image_processor.merge_size,
        min_pixels=size["shortest_edge"],
        max_pixels=size["longest_edge"],
    )


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


class Qwen2VLAdapter(QwenAdapter):
    """`<|box_start|>(x1,y1),(x2,y2)<|box_end|>` in thousandths."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl",)
    default_dialect: ClassVar[str] = "qwen2_vl"
    native: ClassVar[Mapping[str, str]] = {"caption": "Describe this image."}
    processor_type: ClassVar[type[Any]] = Qwen2VLProcessor


class Qwen25VLAdapter(QwenAdapter):
    """JSON in pixels of the resized image. Native words: QwenLM's cookbooks/spatial_understanding.ipynb."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_vl",)
    default_dialect: ClassVar[str] = "qwen2.5_vl"
    native: ClassVar[Mapping[str, str]] = {
        "rec": "Locate {expression}, output its bbox coordinates using JSON format.",
        "phrase_grounding": "Outline the position of {phrase} and output all the coordinates in JSON format.",
        "caption": "Describe this image.",
    }
    processor_type: ClassVar[type[Any]] = Qwen2_5_VLProcessor


class Qwen3VLAdapter(QwenAdapter):
    """JSON in thousandths. Native words: QwenLM's cookbooks/2d_grounding.ipynb."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
    default_dialect: ClassVar[str] = "qwen3_vl"
    native: ClassVar[Mapping[str, str]] = {
        "rec": "Locate {expression}, output its bbox coordinates using JSON format.",
        "phrase_grounding": 'Locate every instance that belongs to the following categories: "{phrase}". '
        "Report bbox coordinates in JSON format.",
        "caption": "Describe this image.",
    }
    processor_type: ClassVar[type[Any]] = Qwen3VLProcessor

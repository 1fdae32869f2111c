"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: images keep their shape, at a size that depends on their pixels."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gritmill.schemas.dialects import Dialect
from gritmill.schemas.families.qwen import Qwen2_5_VLProcessor, Qwen2VLProcessor, Qwen3VLProcessor, shown
from gritmill.schemas.families.words import WORDS
from gritmill.trainer.models.base import LLAMA_LINEARS
from gritmill.trainer.models.chat import templated
from gritmill.trainer.models.decoder import DecoderAdapter
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns


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
    lora_targets: ClassVar[tuple[str, ...]] = LLAMA_LINEARS
    processor_type: ClassVar[type[Any]]
    """Loads what the checkpoint has for images."""

    def __init__(self, processor: Any, dialect: Dialect, max_length: int) -> None:
        super().__init__(processor, shown(dialect, processor.image_processor), max_length)

    @classmethod
    def load_processor(cls, source: str, **options: Any) -> Any:
        return cls.processor_type.from_pretrained(source, **options)

    @property
    def end(self) -> str:
        return "<|im_end|>"

    def segments(self, turns: Turns) -> list[TextSegment]:
        return templated(self.processor, turns, self.end)


class Qwen2VLAdapter(QwenAdapter):
    """`<|box_start|>(x1,y1),(x2,y2)<|box_end|>` in thousandths."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl",)
    default_dialect: ClassVar[str] = "qwen2_vl"
    native: ClassVar[Mapping[str, str]] = WORDS["qwen2_vl"]
    processor_type: ClassVar[type[Any]] = Qwen2VLProcessor


class Qwen25VLAdapter(QwenAdapter):
    """JSON in pixels of the resized image."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_vl",)
    default_dialect: ClassVar[str] = "qwen2.5_vl"
    native: ClassVar[Mapping[str, str]] = WORDS["qwen2_5_vl"]
    processor_type: ClassVar[type[Any]] = Qwen2_5_VLProcessor


class Qwen3VLAdapter(QwenAdapter):
    """JSON in thousandths."""

    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
    default_dialect: ClassVar[str] = "qwen3_vl"
    native: ClassVar[Mapping[str, str]] = WORDS["qwen3_vl"]
    processor_type: ClassVar[type[Any]] = Qwen3VLProcessor

"""LLaVA 1.5 as `transformers` has it: a CLIP encoder, a projection and a Llama."""

from collections.abc import Mapping
from typing import ClassVar

from gritmill.schemas.conversations import ASSISTANT
from gritmill.schemas.families import llava
from gritmill.schemas.families.words import WORDS
from gritmill.trainer.models.base import LLAMA_LINEARS
from gritmill.trainer.models.chat import templated
from gritmill.trainer.models.decoder import DecoderAdapter
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns


class LlavaAdapter(DecoderAdapter):
    """`USER: <image>\\nWhere is the dog? ASSISTANT: [0.1,0.2,0.3,0.4]</s>`, or its chat template.

    The published processor would crop the picture; here the dialect's geometry decides, and the default
    pads as LLaVA 1.5 was trained.
    """

    model_types: ClassVar[tuple[str, ...]] = ("llava",)
    default_dialect: ClassVar[str] = "shikra"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.vision_tower.",),
        "connector": ("model.multi_modal_projector.",),
        "language": ("model.language_model.", "lm_head."),
    }
    lora_targets: ClassVar[tuple[str, ...]] = LLAMA_LINEARS
    native: ClassVar[Mapping[str, str]] = WORDS["llava"]

    @property
    def side(self) -> int:
        return llava.side(self.processor)

    def segments(self, turns: Turns) -> list[TextSegment]:
        if self.processor.chat_template:
            return templated(self.processor, turns, self.end)
        return [
            TextSegment(f" {text}{self.end}", True)
            if role == ASSISTANT
            else TextSegment(llava.QUESTION.format(text), False)
            for role, text in turns
        ]

"""SmolVLM and Idefics3: a SigLIP encoder over tiles of the picture, pixels shuffled into fewer tokens."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from PIL.Image import Image as PILImage

from trainer.models.base import Tensors
from trainer.models.chat import templated
from trainer.models.decoder import DecoderAdapter
from trainer.models.masking import Segment
from trainer.models.turns import Turns


class SmolVLMAdapter(DecoderAdapter):
    """`User:<image>Where is the dog?<end_of_utterance>\\nAssistant: ...<end_of_utterance>`."""

    model_types: ClassVar[tuple[str, ...]] = ("smolvlm", "idefics3")
    default_dialect: ClassVar[str] = "digits"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.vision_model.",),
        "connector": ("model.connector.",),
        "language": ("model.text_model.", "lm_head."),
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

    @property
    def end(self) -> str:
        return str(self.processor.end_of_utterance_token)

    def segments(self, turns: Turns) -> list[Segment]:
        return templated(self.processor, turns, self.end)

    def process(self, texts: Sequence[str], pictures: Sequence[PILImage]) -> Tensors:
        images = [[image] for image in pictures]
        return dict(self.processor(images=images, text=list(texts), padding=True, return_tensors="pt"))

"""SmolVLM and Idefics3: a SigLIP encoder over tiles of the picture, pixels shuffled into fewer tokens."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import transformers
from PIL.Image import Image as PILImage

from gritmill.trainer.models.base import LLAMA_LINEARS, Tensors
from gritmill.trainer.models.chat import templated
from gritmill.trainer.models.decoder import DecoderAdapter
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns


class SmolVLMProcessor(transformers.SmolVLMProcessor):
    """SmolVLM's, for images: transformers builds its video processor only where torchvision is."""

    def __init__(
        self, image_processor: Any, tokenizer: Any, image_seq_len: int = 169, chat_template: str | None = None
    ) -> None:
        super().__init__(image_processor, tokenizer, None, image_seq_len, chat_template)

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    def save_pretrained(self, save_directory: str, **options: Any) -> Any:
        """Names the video processor as well, without which `AutoProcessor` would refuse the folder."""
        saved = super().save_pretrained(save_directory, **options)
        named = json.dumps({"video_processor_type": "SmolVLMVideoProcessor"})
        Path(save_directory, "video_preprocessor_config.json").write_text(named, encoding="utf-8")
        return saved


class Idefics3Adapter(DecoderAdapter):
    """`User:<image>Where is the dog?<end_of_utterance>\\nAssistant: ...<end_of_utterance>`."""

    model_types: ClassVar[tuple[str, ...]] = ("idefics3",)
    default_dialect: ClassVar[str] = "digits"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("model.vision_model.",),
        "connector": ("model.connector.",),
        "language": ("model.text_model.", "lm_head."),
    }
    lora_targets: ClassVar[tuple[str, ...]] = LLAMA_LINEARS

    @property
    def end(self) -> str:
        return str(self.processor.end_of_utterance_token)

    def segments(self, turns: Turns) -> list[TextSegment]:
        return templated(self.processor, turns, self.end)

    def process(self, texts: Sequence[str], pictures: Sequence[PILImage]) -> Tensors:
        images = [[image] for image in pictures]
        return dict(self.processor(images=images, text=list(texts), padding=True, return_tensors="pt"))


class SmolVLMAdapter(Idefics3Adapter):
    """The same, smaller, and with films, which are not used here."""

    model_types: ClassVar[tuple[str, ...]] = ("smolvlm",)

    @classmethod
    def load_processor(cls, source: str, **options: Any) -> Any:
        return SmolVLMProcessor.from_pretrained(source, **options)

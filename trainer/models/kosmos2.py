"""Kosmos-2: a CLIP encoder, 64 latent queries, a decoder that writes boxes as two of 1,024 tokens."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from PIL.Image import Image as PILImage

from gritmill.schemas.conversations import ASSISTANT, IMAGE
from gritmill.schemas.families import kosmos2
from gritmill.schemas.families.words import WORDS
from gritmill.trainer.models.base import Prompt
from gritmill.trainer.models.decoder import DecoderAdapter
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns, question


class Kosmos2Adapter(DecoderAdapter):
    """`<image>...</image> Question: Where is the dog? Answer:<object>...</object></s>`.

    The image's 64 places are the processor's business. Its own words need no question and answer around
    them: the model goes on from `<grounding><phrase>a dog</phrase>`.
    Source: arXiv:2306.14824; the model card of microsoft/kosmos-2-patch14-224.
    """

    model_types: ClassVar[tuple[str, ...]] = ("kosmos-2",)
    default_dialect: ClassVar[str] = "kosmos2"
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "vision": ("vision_model.",),
        "connector": ("image_to_text_projection.",),
        "language": ("text_model.",),
    }
    lora_targets: ClassVar[tuple[str, ...]] = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    native: ClassVar[Mapping[str, str]] = WORDS["kosmos-2"]

    @classmethod
    def mended(cls, model: Any) -> Any:
        return kosmos2.mended(model)

    @cached_property
    def special_tokens(self) -> list[str]:
        # Its processor adds `</image>`, `<phrase>` and the like without calling them special.
        return [token.content for token in self.processor.tokenizer.added_tokens_decoder.values()]

    @property
    def side(self) -> int:
        return kosmos2.side(self.processor)

    def segments(self, turns: Turns) -> list[TextSegment]:
        return [
            TextSegment(f" {text}{self.end}", True)
            if role == ASSISTANT
            else TextSegment(f" Question: {text.replace(IMAGE, '').strip()} Answer:", False)
            for role, text in turns
        ]

    def prompt(self, asked: Prompt, image: PILImage, native: bool) -> str:
        if native:
            return question(asked, self.native, self.dialect, image.size, self.special_tokens)
        return super().prompt(asked, image, native)

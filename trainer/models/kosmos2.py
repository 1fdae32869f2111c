"""Kosmos-2: a CLIP encoder, 64 latent queries, a decoder that writes boxes as two of 1,024 tokens."""

from collections.abc import Mapping
from typing import Any, ClassVar

from PIL.Image import Image as PILImage
from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextForCausalLM

from schemas.conversations import ASSISTANT, IMAGE
from trainer.models.base import Asked
from trainer.models.decoder import DecoderAdapter
from trainer.models.masking import Segment
from trainer.models.turns import Turns, question


class Kosmos2Text(Kosmos2TextForCausalLM):
    """The decoder, with places that do not count padding.

    `transformers` (5.23) counts them rightly in the prompt, but from the first generated token on by the
    length of the cache, so that a prompt padded on the left was answered otherwise than alone.
    """

    def prepare_inputs_for_generation(
        self, input_ids: Any, attention_mask: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, attention_mask=attention_mask, **kwargs
        )
        if attention_mask is not None:
            places = attention_mask.cumsum(dim=1) * attention_mask + self.config.pad_token_id
            inputs["position_ids"] = places[:, -inputs["input_ids"].shape[1] :]
        return inputs


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
    native: ClassVar[Mapping[str, str]] = {
        "rec": "<grounding><phrase>{expression}</phrase>",
        "phrase_grounding": "<grounding>{before} <phrase>{phrase}</phrase>",
        "caption": "An image of",
        "grounded_caption": "<grounding>An image of",
        "reg": "<grounding><phrase>It</phrase>{region} is",
        "vqa": "Question: {question} Answer:",
    }

    @classmethod
    def mended(cls, model: Any) -> Any:
        model.text_model.__class__ = Kosmos2Text
        return model

    @property
    def side(self) -> int:
        return int(self.processor.image_processor.crop_size["height"])

    def segments(self, turns: Turns) -> list[Segment]:
        return [
            Segment(f" {text}{self.end}", True)
            if role == ASSISTANT
            else Segment(f" Question: {text.replace(IMAGE, '').strip()} Answer:", False)
            for role, text in turns
        ]

    def prompt(self, asked: Asked, image: PILImage, native: bool) -> str:
        if native:
            return question(asked, self.native, self.dialect, image.size)
        return super().prompt(asked, image, native)

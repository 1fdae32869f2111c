"""What transformers has wrong about Kosmos-2, put right."""

from typing import Any

from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextForCausalLM


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


def mended(model: Any) -> Any:
    """A model as loaded, with the decoder above."""
    model.text_model.__class__ = Kosmos2Text
    return model


def side(processor: Any) -> int:
    """Pixels of the square that the vision encoder takes."""
    return int(processor.image_processor.crop_size["height"])

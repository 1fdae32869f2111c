"""The architectures of Qwen2-VL, Qwen2.5-VL and Qwen3-VL, small and new, with vocabularies of their own."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_bpe import trained_bpe

from gritmill.trainer.models.registry import adapter_for

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]

SYSTEM = "You are a helpful assistant."

TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\n" + SYSTEM + "<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Writes what the published templates write for one image."""

HIDDEN = 64
HEADS = 4
LIMITS = {"min_pixels": 56 * 56, "max_pixels": 112 * 112}


def save(model_type: str, folder: Path, patch_size: int = 14) -> None:
    """A new model with its processor, as `from_pretrained` reads them."""
    processor = tiny_processor(model_type, patch_size)
    torch.manual_seed(0)
    model = _model(model_type, processor, patch_size)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=processor.tokenizer.eos_token_id, pad_token_id=processor.tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def tiny_processor(model_type: str, patch_size: int = 14, **limits: int) -> Any:
    """As published, but for its limits of pixels. Without torchvision there is no video processor."""
    vocab, merges = trained_bpe(SPECIAL)
    tokenizer = transformers.Qwen2Tokenizer(
        vocab,
        merges,
        eos_token="<|im_end|>",
        extra_special_tokens=SPECIAL[3:],
    )
    pictures = transformers.Qwen2VLImageProcessorPil(patch_size=patch_size, **{**LIMITS, **limits})
    family: Any = adapter_for(model_type)
    return family.processor_type(image_processor=pictures, tokenizer=tokenizer, chat_template=TEMPLATE)


def _model(model_type: str, processor: Any, patch_size: int) -> Any:
    ids = processor.tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(processor.tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        "bos_token_id": None,
        "eos_token_id": ids("<|im_end|>"),
        "pad_token_id": ids("<|endoftext|>"),
    }
    tokens = {
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
        "tie_word_embeddings": True,
    }
    vision: dict[str, Any] = {"depth": 2, "hidden_size": HIDDEN, "num_heads": HEADS, "patch_size": patch_size}
    if model_type == "qwen2_vl":
        vision = {"depth": 2, "embed_dim": HIDDEN, "hidden_size": HIDDEN, "num_heads": HEADS, "mlp_ratio": 2}
        config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **tokens)
        return transformers.Qwen2VLForConditionalGeneration(config)
    vision |= {"intermediate_size": 2 * HIDDEN, "out_hidden_size": HIDDEN}
    if model_type == "qwen2_5_vl":
        vision |= {"window_size": 56, "fullatt_block_indexes": [1]}
        config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
        return transformers.Qwen2_5_VLForConditionalGeneration(config)
    text["head_dim"] = HIDDEN // HEADS
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **tokens)
    return transformers.Qwen3VLForConditionalGeneration(config)

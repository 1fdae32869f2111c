"""Florence-2's architecture, small and new: DaViT, BART and a vocabulary with its location tokens."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_bpe import trained_bpe

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
"""With BART's ids."""

MARKUP = ["<od>", "</od>", "<cap>", "</cap>", "<sep>", "<region_cap>", "</region_cap>", "<poly>", "</poly>"]
LOCATIONS = [f"<loc_{i}>" for i in range(1000)]

SIDE = 64
IMAGE_TOKENS = 1 + (SIDE // 8) ** 2
"""The mean of the picture, and its 8 x 8 patches."""

HIDDEN = 64

POST_PROCESSING: dict[str, dict[str, int]] = {
    task: {} for task in ("pure_text", "description_with_bboxes", "bboxes", "phrase_grounding", "polygons")
}


def save(folder: Path) -> None:
    """A new model with its processor, as `from_pretrained` reads them."""
    processor = tiny_processor()
    torch.manual_seed(0)
    model = _model(processor)
    model.generation_config = transformers.GenerationConfig(
        decoder_start_token_id=2, forced_bos_token_id=0, bos_token_id=0, eos_token_id=2, pad_token_id=1
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def tiny_processor() -> Any:
    """As published, but for the size of the picture and the words that it knows."""
    vocab, merges = trained_bpe(SPECIAL)
    tokenizer = transformers.BartTokenizer(
        vocab, merges, model_max_length=256, extra_special_tokens={"image_token": "<image>"}
    )
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [*MARKUP, *LOCATIONS]}, replace_extra_special_tokens=False
    )
    pictures = transformers.CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False, image_seq_length=IMAGE_TOKENS
    )
    return transformers.Florence2Processor(
        image_processor=pictures, tokenizer=tokenizer, post_processor_config=POST_PROCESSING
    )


def _model(processor: Any) -> Any:
    text = {
        "model_type": "bart",
        "vocab_size": len(processor.tokenizer),
        "d_model": HIDDEN,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 2 * HIDDEN,
        "decoder_ffn_dim": 2 * HIDDEN,
        "max_position_embeddings": processor.tokenizer.model_max_length,
        "dropout": 0.0,
    }
    vision = {
        "depths": [1, 1],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "embed_dim": [32, HIDDEN],
        "num_heads": [2, 4],
        "num_groups": [2, 4],
        "window_size": 4,
        "drop_path_rate": 0.0,
        "projection_dim": HIDDEN,
    }
    config = transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=processor.image_token_id
    )
    return transformers.Florence2ForConditionalGeneration(config)

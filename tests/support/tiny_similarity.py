"""CLIP and SigLIP with random weights and a whole processor, as `save_pretrained` leaves them."""

import json
from pathlib import Path
from typing import Any

SIDE = 32
LENGTH = 24
"""Tokens of the longest text."""
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
PICTURES = {"image_size": SIDE, "patch_size": 8}


def save_clip(folder: Path) -> Path:
    import transformers as hf

    tokenizer = _tokenizer(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = TOWER | ends | {"vocab_size": len(tokenizer), "max_position_embeddings": LENGTH}
    config = hf.CLIPConfig(vision_config=TOWER | PICTURES, text_config=text, projection_dim=16)
    _seeded(hf.CLIPModel, config).save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    pixels = hf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)
    hf.CLIPProcessor(pixels, tokenizer).save_pretrained(folder)
    return folder


def save_siglip(folder: Path) -> Path:
    import transformers as hf

    tokenizer = _tokenizer(folder)
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": LENGTH, "projection_size": 32}
    config = hf.SiglipConfig(vision_config=TOWER | PICTURES, text_config=text)
    _seeded(hf.SiglipModel, config).save_pretrained(folder)
    pixels = hf.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    hf.SiglipProcessor(pixels, tokenizer).save_pretrained(folder)
    return folder


def _seeded(model: Any, config: Any) -> Any:
    import torch

    torch.manual_seed(0)
    return model(config)


def _tokenizer(folder: Path) -> Any:
    """Bytes and no merges: each character is a token."""
    import transformers as hf
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    characters = list(bytes_to_unicode().values())
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    vocabulary = json.dumps({token: i for i, token in enumerate(tokens)})
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return hf.CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH)

"""CLIP and DINOv2 with random weights, a few thousand of them, as `save_pretrained` leaves them."""

from pathlib import Path

SIDE = 32
"""Pixels of the pictures."""
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}


def save_clip(folder: Path, dimensions: int = 32) -> Path:
    """Its image tower and processor; the tokenizer is left out."""
    import torch
    import transformers as hf

    text = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = hf.CLIPConfig(
        vision_config=TOWER, text_config=text | {"num_attention_heads": 2}, projection_dim=dimensions
    )
    torch.manual_seed(0)
    hf.CLIPModel(config).save_pretrained(folder)
    return _with_processor(folder)


def save_dinov2(folder: Path) -> Path:
    import torch
    import transformers as hf

    torch.manual_seed(0)
    hf.Dinov2Model(hf.Dinov2Config(**TOWER)).save_pretrained(folder)
    return _with_processor(folder)


def _with_processor(folder: Path) -> Path:
    import transformers as hf

    square = {"height": SIDE, "width": SIDE}
    hf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square).save_pretrained(folder)
    return folder

"""SAM, SAM 2 and SAM 3 with random weights, a few thousand of them, as `save_pretrained` leaves them."""

import json
from pathlib import Path
from typing import Any

SIDE = 64
"""Of the square that SAM and SAM 2 see; SAM 3's is 56, as its patches have 14 pixels."""

PROMPTS = {"hidden_size": 32, "patch_size": 16, "mask_input_channels": 4}
MASKS = {"hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_sam(folder: Path) -> Path:
    import transformers as hf

    vision = {
        "hidden_size": 16,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "window_size": 2,
        "global_attn_indexes": [1],
        "mlp_dim": 32,
        "num_pos_feats": 16,
    }
    config = hf.SamConfig(
        vision_config=vision,
        prompt_encoder_config=PROMPTS | {"image_size": SIDE},
        mask_decoder_config=MASKS | {"iou_head_hidden_dim": 16},
    )
    _seeded(lambda: hf.SamModel(config)).save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    hf.SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=square).save_pretrained(folder)
    return folder


def save_sam2(folder: Path) -> Path:
    import transformers as hf

    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 2, 2, 2],
        "global_attention_blocks": [3],
        "image_size": [SIDE, SIDE],
        "window_positional_embedding_background_size": [2, 2],
    }
    config = hf.Sam2Config(
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config=PROMPTS | {"image_size": SIDE},
        mask_decoder_config=MASKS | {"iou_head_hidden_dim": 32},
    )
    _seeded(lambda: hf.Sam2Model(config)).save_pretrained(folder)
    _processor(folder, "Sam2ImageProcessor", SIDE, 0.4, 0.25)
    return folder


SAM3_VISION: dict[str, Any] = {
    "model_type": "sam3_vision_model",
    "backbone_config": {
        "model_type": "sam3_vit_model",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    },
    "fpn_hidden_size": 32,
    "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
}


def save_sam3_tracker(folder: Path) -> Path:
    """What makes masks for boxes."""
    import transformers as hf

    config = hf.Sam3TrackerConfig(
        vision_config=SAM3_VISION,
        prompt_encoder_config=PROMPTS | {"image_size": 56, "patch_size": 14},
        mask_decoder_config=MASKS | {"iou_head_hidden_dim": 32},
    )
    _seeded(lambda: hf.Sam3TrackerModel(config)).save_pretrained(folder)
    _processor(folder, "Sam3ImageProcessor", 56, 0.5, 0.5)
    return folder


def save_sam3(folder: Path, tokenizer: Any) -> Path:
    """What finds all instances of a noun phrase; six queries."""
    import transformers as hf

    small = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = hf.Sam3Config(
        vision_config=SAM3_VISION,
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 16,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config=small | {"num_queries": 6},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    _seeded(lambda: hf.Sam3Model(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _processor(folder, "Sam3ImageProcessor", 56, 0.5, 0.5)
    return folder


def _processor(folder: Path, kind: str, side: int, mean: float, std: float) -> None:
    """As the library writes it, which it can only with torchvision."""
    settings = {
        "image_processor_type": kind,
        "size": {"height": side, "width": side},
        "image_mean": [mean] * 3,
        "image_std": [std] * 3,
        "rescale_factor": 1 / 255,
        "resample": 2,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _seeded(make: Any) -> Any:
    import torch

    torch.manual_seed(0)
    model = make().eval()
    # Weights as they are drawn give logits near nothing; these make masks with an edge.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model

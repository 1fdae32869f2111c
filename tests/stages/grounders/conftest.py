"""Tiny detectors of the real architectures, with random weights, as folders that `save_pretrained` made."""

import json
from pathlib import Path

import pytest

WORDS = "a an the dog dogs cat field hot man skate ##board ##boarder big red brown of in on . ? , - '".split()


@pytest.fixture(scope="session")
def grounding_dino(tmp_path_factory):
    import transformers as hf

    return _token_span_model(
        tmp_path_factory.mktemp("models") / "tiny-grounding-dino",
        hf.GroundingDinoConfig,
        hf.GroundingDinoForObjectDetection,
    )


@pytest.fixture(scope="session")
def mm_grounding_dino(tmp_path_factory):
    import transformers as hf

    return _token_span_model(
        tmp_path_factory.mktemp("models") / "tiny-mm-grounding-dino",
        hf.MMGroundingDinoConfig,
        hf.MMGroundingDinoForObjectDetection,
    )


@pytest.fixture(scope="session")
def owlv2(tmp_path_factory):
    import transformers as hf

    folder = tmp_path_factory.mktemp("models") / "tiny-owlv2"
    processor = hf.Owlv2Processor(
        hf.Owlv2ImageProcessorPil(size={"height": 64, "width": 64}), _clip_tokenizer(folder)
    )
    return _owl(folder, hf.Owlv2Config, hf.Owlv2ForObjectDetection, processor)


@pytest.fixture(scope="session")
def owlvit(tmp_path_factory):
    import transformers as hf

    folder = tmp_path_factory.mktemp("models") / "tiny-owlvit"
    processor = hf.OwlViTProcessor(
        hf.OwlViTImageProcessorPil(size={"height": 64, "width": 64}), _clip_tokenizer(folder)
    )
    return _owl(folder, hf.OwlViTConfig, hf.OwlViTForObjectDetection, processor)


@pytest.fixture(scope="session")
def llmdet(tmp_path_factory):
    """As its checkpoints are published: MM-Grounding-DINO's architecture and text beside the detector's."""
    import transformers as hf
    from safetensors.torch import load_file, save_file

    folder = _token_span_model(
        tmp_path_factory.mktemp("models") / "tiny-llmdet",
        hf.MMGroundingDinoConfig,
        hf.MMGroundingDinoForObjectDetection,
    )
    weights = load_file(folder / "model.safetensors")
    weights["lmm.connector.weight"] = weights["model.text_projection.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def omdet_turbo(tmp_path_factory):
    import torch
    import transformers as hf

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny-omdet-turbo"
    tokenizer = _clip_tokenizer(folder)
    channels = [16, 32, 64]
    config = hf.OmDetTurboConfig(
        backbone_config=hf.SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=hf.CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=40,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        ),
        apply_layernorm_after_vision_backbone=False,
        image_size=64,
        text_projection_in_dim=16,
        text_projection_out_dim=16,
        class_embed_dim=16,
        task_encoder_hidden_dim=16,
        encoder_hidden_dim=32,
        encoder_in_channels=channels,
        vision_features_channels=[32, 32, 32],
        encoder_attention_heads=2,
        encoder_dim_feedforward=16,
        decoder_hidden_dim=32,
        decoder_num_heads=2,
        decoder_num_layers=2,
        decoder_dim_feedforward=16,
        num_queries=12,
    )
    hf.OmDetTurboForObjectDetection(config).save_pretrained(folder)
    # Its own processor is not there without torchvision.
    hf.DetrImageProcessorPil(size={"height": 64, "width": 64}, do_pad=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _token_span_model(folder: Path, config_class, model_class, max_text_len: int = 32) -> Path:
    import torch
    import transformers as hf

    torch.manual_seed(0)
    tokenizer = _bert_tokenizer(folder)
    config = config_class(
        backbone_config=hf.SwinConfig(
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=hf.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=12,
        max_text_len=max_text_len,
    )
    model_class(config).save_pretrained(folder)
    image_processor = hf.GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 160})
    hf.GroundingDinoProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder


def _bert_tokenizer(folder: Path):
    import transformers as hf

    # Grounding DINO knows the ids of these from BERT's own vocabulary.
    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    vocabulary = [special.get(i, f"[unused{i}]") for i in range(1030)]
    vocabulary += [word for word in WORDS if word not in vocabulary]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    return hf.BertTokenizer.from_pretrained(folder)


def _clip_tokenizer(folder: Path):
    """Bytes and no merges: each character is a token."""
    import transformers as hf
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    characters = list(bytes_to_unicode().values())
    tokens = [*characters, *(c + "</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return hf.CLIPTokenizer.from_pretrained(folder, pad_token="!")


def _owl(folder: Path, config_class, model_class, processor) -> Path:
    import torch

    torch.manual_seed(0)
    tokenizer = processor.tokenizer
    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "initializer_factor": 0.1,
    }
    config = config_class(
        text_config={
            **small,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**small, "image_size": 64, "patch_size": 16},
        projection_dim=16,
        initializer_factor=0.1,
    )
    model_class(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

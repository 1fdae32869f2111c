"""Vision-language models of the real architectures, tiny and with random weights, as checkpoints on disk."""

from pathlib import Path
from typing import Any

from tiny_bpe import SENTENCES, trained_bpe

TEXT = [*SENTENCES, "USER: ASSISTANT: Question: Answer: User: Assistant:", "0123456789 <>[](){},.:;/'_-"]
SIDE = 32
"""Pixels of the pictures."""


def llava(folder: Path, chat_template: str | None = None, tie: bool = False) -> Path:
    """CLIP and Llama; the tokenizer is Llama's: SentencePiece's BPE with bytes for what it does not know."""
    import transformers as hf

    vocabulary, merges = _sentencepiece_bpe(["<unk>", "<s>", "</s>"])
    tokenizer = hf.LlamaTokenizer(vocab=vocabulary, merges=merges, pad_token="<pad>", add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = hf.LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=8,
        ),
        text_config=_llama(tokenizer, tie),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=16,
        tie_word_embeddings=tie,
    )
    return _saved(folder, hf.LlavaForConditionalGeneration, config, processor)


SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}"
    "{{ ':' if message.content[0].type == 'image' else ': ' }}"
    "{% for part in message.content %}{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""In SmolVLM's format."""


def smolvlm(folder: Path, model_type: str = "smolvlm") -> Path:
    """SigLIP, pixel shuffle and Llama; pictures of 64 pixels become four tiles and an overview."""
    import transformers as hf

    special = ["<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>"]
    special += ["<global-img>", *(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))]
    vocabulary, merges = trained_bpe(special)
    tokenizer = hf.GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|im_end|>",
        additional_special_tokens=special,
    )
    sizes = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    if model_type == "smolvlm":
        from gritmill.trainer.models.smolvlm import SmolVLMProcessor

        processor: Any = SmolVLMProcessor(
            hf.SmolVLMImageProcessorPil(**sizes), tokenizer, image_seq_len=4, chat_template=SMOLVLM_TEMPLATE
        )
        config_class, model_class = hf.SmolVLMConfig, hf.SmolVLMForConditionalGeneration
    else:
        images = hf.Idefics3ImageProcessorPil(**sizes)
        processor = hf.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=SMOLVLM_TEMPLATE)
        config_class, model_class = hf.Idefics3Config, hf.Idefics3ForConditionalGeneration
    config = config_class(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
        },
        text_config=_llama(tokenizer, tie=False),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    return _saved(folder, model_class, config, processor)


def paligemma(folder: Path) -> Path:
    """SigLIP and Gemma, whose embedding is its head too."""
    import transformers as hf

    vocabulary, merges = _sentencepiece_bpe(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    tokenizer = hf.GemmaTokenizer(vocab=vocabulary, merges=merges)
    images = hf.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, tokenizer)
    config = hf.PaliGemmaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "gemma",
            "vocab_size": len(processor.tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_id=processor.image_token_id,
        projection_dim=64,
        hidden_size=64,
    )
    return _saved(folder, hf.PaliGemmaForConditionalGeneration, config, processor)


def kosmos2(folder: Path) -> Path:
    """CLIP, 64 latent queries and Magneto's decoder; the tokenizer is XLM-RoBERTa's, of unigrams."""
    import transformers as hf

    tokenizer = hf.XLMRobertaTokenizer(vocab=_unigrams(["<s>", "<pad>", "</s>", "<unk>"]))
    images = hf.CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = hf.Kosmos2Processor(images, tokenizer)
    config = hf.Kosmos2Config(
        text_config={
            "vocab_size": len(processor.tokenizer),
            "embed_dim": 64,
            "layers": 2,
            "ffn_dim": 128,
            "attention_heads": 2,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "max_position_embeddings": 512,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
        },
    )
    return _saved(folder, hf.Kosmos2ForConditionalGeneration, config, processor)


def _llama(tokenizer: Any, tie: bool) -> Any:
    import transformers as hf

    return hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=tie,
    )


def _saved(folder: Path, model_class: Any, config: Any, processor: Any) -> Path:
    import torch

    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _sentencepiece_bpe(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges as SentencePiece has them: blanks are "▁", no merge spans two words."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*special, *bytes_], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def _unigrams(special: list[str]) -> list[tuple[str, float]]:
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    pieces = [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]
    return [*pieces, ("<mask>", 0.0)]

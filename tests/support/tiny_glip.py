"""A GLIP of the real architecture at a small size, with weights that follow from their names.

Read by the tests and, in an environment of its own, by the script that asks mmdetection for what the same
weights give there (`tests/stages/grounders/glip/make_reference.py`).
"""

import hashlib
from pathlib import Path

import numpy as np

from gritmill.stages.grounders.glip.config import Config

FUSED = Config(
    swin_channels=16,
    swin_depths=(2, 2, 2, 2),
    swin_heads=(1, 2, 2, 4),
    swin_window=4,
    channels=32,
    blocks=2,
    fusion_channels=64,
    text_channels=128,
    text_layers=2,
    text_hidden=192,
    vocabulary=40,
    positions=64,
)
"""As GLIP-T (B), (C) and GLIP-L: image and text are fused."""
SEPARATE = FUSED._replace(fusion_channels=0)
"""As GLIP-T (A)."""
CONFIGS = {"fused": FUSED, "separate": SEPARATE}

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] . , - ' a an the dog cat ##s big red brown man field hot ##dog on in of".split()
)
VOCABULARY = [*WORDS, *(f"[unused{i}]" for i in range(FUSED.vocabulary - len(WORDS) - 1)), "[MASK]"]

QUESTIONS = {
    "one phrase": ["a dog"],
    "several": ["the big red cats", "a hotdog", "a man on the field"],
}
"""Prompts, as phrases; together in one batch, padded to the longer one."""
SIZES = [(160, 96), (96, 128)]
"""Height and width of batches of images; small enough for levels of one place only."""

PICTURE = (100, 90)
"""Width and height of the picture for whole runs. Where an image's long side decides how it is scaled,
mmdetection differs from the official code by a pixel, so it does not here."""


def weights(config: Config, prefix: str = "module.") -> dict[str, np.ndarray]:
    """Every tensor of an official checkpoint of these sizes by its official name, float32."""
    import torch

    from gritmill.stages.grounders.glip.model import Glip

    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Glip(config).state_dict().items()}
    return {prefix + name: weight(name, shape) for name, shape in shapes.items()}


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that differ from tensor to tensor and keep what flows through them of a size that shows."""
    spread = noise(name, shape)
    kind = name.split(".")[-2] if "." in name else name
    if name.endswith((".bias", "bias_lang", "log_scale")):
        return 0.3 * spread
    if name.endswith("bias0"):
        return spread - 6
    if "norm" in kind.lower() or kind == "bn" or name.endswith((".scale", "gamma_v", "gamma_l")):
        return 1 + 0.3 * spread
    if "embeddings." in name or name.endswith("table"):
        return spread
    # The taps of a deformable convolution are to wander by several pixels.
    gain = {"offset": 3, "bbox_pred": 15, "centerness": 10, "dot_product_projection_text": 20}.get(kind, 1.5)
    return gain * spread / np.float32(max(np.prod(shape[1:], dtype=int), 1) ** 0.5)


def noise(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Evenly spread over -1..1, the same on every machine: bits of a generator whose stream is frozen."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape))).reshape(shape)
    return ((bits >> np.uint64(40)).astype(np.float32) / 2**23 - 1).astype(np.float32)


def pixels(height: int, width: int, count: int = 2) -> np.ndarray:
    """Images as the model sees them, [count, 3, height, width]."""
    return 2 * noise(f"pixels {height} {width}", (count, 3, height, width))


def picture(width: int, height: int) -> np.ndarray:
    """A picture of smooth colours, [height, width, 3], uint8, RGB."""
    coarse = np.kron(noise("picture", (6, 8, 3)), np.ones((-(-height // 6), -(-width // 8), 1)))
    return (127.5 + 120 * coarse[:height, :width]).astype(np.uint8)


def vocabulary(folder: Path) -> Path:
    """Writes the files of a small tokenizer of BERT's kind and gives back their folder."""
    import json

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "model_max_length": 512, "tokenizer_class": "BertTokenizer"})
    )
    config = {
        "model_type": "bert",
        "vocab_size": FUSED.vocabulary,
        "hidden_size": FUSED.text_channels,
        "num_hidden_layers": FUSED.text_layers,
        "num_attention_heads": FUSED.text_channels // 64,
        "intermediate_size": FUSED.text_hidden,
        "max_position_embeddings": FUSED.positions,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder

"""An official Grounding DINO checkpoint file -> a loaded model of the original package."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gritmill.schemas.errors import UserError

CONFIGS = {96: "GroundingDINO_SwinT_OGC", 128: "GroundingDINO_SwinB_cfg"}
"""Channels of the image encoder -> the module in `groundingdino.config`."""
WIDTH_KEY = "backbone.0.patch_embed.proj.weight"
WRAPPER = "module."
"""Before every name of the published files: they were saved from within DistributedDataParallel."""
WANTED = "groundingdino_swint_ogc.pth or groundingdino_swinb_cogcoor.pth"


def load(path: Path, tokenizer: Any, text_config: Any) -> Any:
    """The model that the file holds, ready to answer, on the CPU. Nothing in the file is executed.

    `text_config` is BERT's configuration; BERT's weights are in the file. Raises `UserError` for a file
    that is broken, holds more than tensors, or is no whole Grounding DINO.
    """
    weights = tensors(path)
    width = len(weights[WIDTH_KEY]) if WIDTH_KEY in weights else None
    if width not in CONFIGS:
        raise UserError(f"{path} holds no Grounding DINO of a size that is known; give {WANTED}")
    model = _built(CONFIGS[width], tokenizer, text_config)
    try:
        missing = model.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        raise UserError(f"{path} does not fit Grounding DINO: {_one_line(error)}; give {WANTED}") from error
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of Grounding DINO's weights, such as {missing[0]}; "
            "take a whole checkpoint"
        )
    return model.requires_grad_(False).eval()


def tensors(path: Path) -> dict[str, Any]:
    """The weights in a checkpoint file by their names."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in as many ways as there are broken files
        reason = f"{type(error).__name__}: {_one_line(error)}"
        raise UserError(f"{path} cannot be loaded as weights: {reason}; download it again") from error
    weights: Any = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(t, torch.Tensor) for t in weights.values()):
        raise UserError(f"{path} is no checkpoint of Grounding DINO: it holds no tensors by name")
    return {str(name).removeprefix(WRAPPER): tensor for name, tensor in weights.items()}


def _built(config: str, tokenizer: Any, text_config: Any) -> Any:
    from groundingdino.models import build_model

    module = importlib.import_module(f"groundingdino.config.{config}")
    options = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    # Recomputing activations saves memory in training and is only slower here.
    options |= {"use_checkpoint": False, "use_transformer_ckpt": False}
    with _text_parts(tokenizer, text_config), redirect_stdout(StringIO()):
        return build_model(SimpleNamespace(**options))


@contextmanager
def _text_parts(tokenizer: Any, text_config: Any) -> Iterator[None]:
    """The package fetches BERT from the hub, weights and all, which the checkpoint then replaces."""
    from groundingdino.util import get_tokenlizer as parts
    from transformers import BertModel

    own = parts.get_tokenlizer, parts.get_pretrained_language_model
    parts.get_tokenlizer = lambda name: tokenizer
    parts.get_pretrained_language_model = lambda name: BertModel(text_config)
    try:
        yield
    finally:
        parts.get_tokenlizer, parts.get_pretrained_language_model = own


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""An official GLIP checkpoint file -> a loaded model."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.glip.config import config_of

if TYPE_CHECKING:
    from torch import Tensor

    from gritmill.stages.grounders.glip.model import Glip

WRAPPER = "module."
"""Before every name of the published files: they were saved from within DistributedDataParallel."""

UNUSED = (
    "language_backbone.body.model.pooler.",
    "language_backbone.body.model.embeddings.position_ids",
    "rpn.anchor_generator.",
    "rpn.head.cls_logits.",
    "rpn.head.mlm_head.",
    ".relative_position_index",
)
"""Parts of names of tensors that serve training, or that can be computed."""


def load(path: Path) -> "Glip":
    """The model that the file holds, ready to answer, on the CPU.

    Nothing in the file is executed. Raises `UserError` for a file that is broken, is no checkpoint of
    GLIP or lacks weights.
    """
    import torch

    from gritmill.stages.grounders.glip.model import Glip

    weights = tensors(path)
    try:
        config = config_of({name: tuple(tensor.shape) for name, tensor in weights.items()})
        with torch.device("meta"):
            model = Glip(config)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"{path} is no checkpoint of GLIP: no usable {error} in it; "
            "take one of microsoft/GLIP's model zoo"
        ) from error
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _check(path, wanted, weights)
    model.load_state_dict({name: weights[name].float() for name in wanted}, assign=True)
    return model.requires_grad_(False).eval()


def tensors(path: Path) -> "dict[str, Tensor]":
    """The weights in a checkpoint file by their names, less those that are not used.

    Files of the model zoo hold them as `model`, beside the optimizer's state; a bare dictionary will do.
    """
    import torch

    try:
        # Mapped, so that the optimizer's half of the file is never read; the old format cannot be.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # unpickling fails in as many ways as there are broken files
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} cannot be loaded as weights: {type(error).__name__}: {reason}; download it again"
        ) from error
    weights: Any = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(t, torch.Tensor) for t in weights.values()):
        raise UserError(f"{path} is no checkpoint of GLIP: it holds no tensors by name")
    named = {str(name).removeprefix(WRAPPER): tensor for name, tensor in weights.items()}
    return {name: tensor for name, tensor in named.items() if not any(part in name for part in UNUSED)}


def _check(path: Path, wanted: Mapping[str, tuple[int, ...]], weights: "Mapping[str, Tensor]") -> None:
    missing = sorted(wanted.keys() - weights.keys())
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of GLIP's weights, such as {missing[0]}; take a whole checkpoint"
        )
    unknown = sorted(weights.keys() - wanted.keys())
    if unknown:
        raise UserError(
            f"{path} holds {len(unknown)} weights that GLIP has not, such as {unknown[0]}; "
            "take a checkpoint of microsoft/GLIP's model zoo"
        )
    for name, shape in wanted.items():
        if tuple(weights[name].shape) != shape:
            raise UserError(
                f"{path} does not fit GLIP: {name} is {list(weights[name].shape)} where {list(shape)} is due"
            )

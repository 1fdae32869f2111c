"""Masks from the original `segment-anything` package and its .pth checkpoints."""

import importlib.metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from schemas.errors import UserError
from stages import local_models
from stages.local_models import Device
from stages.segmenters import weights
from stages.segmenters.base import Segment
from stages.segmenters.canvas import Array, Canvas

WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Channels of the image encoder -> the name of its builder in `sam_model_registry`."""
WIDTH_KEY = "image_encoder.patch_embed.proj.weight"
WANTED = "a checkpoint of segment-anything, such as sam_vit_b_01ec64.pth"


class SegmentAnythingSegmenter(Segment):
    """Boxes -> masks, by SAM as its makers published it.

    Box(.1, .2, .5, .9) -> Mask(426, 640, "PXZ8...", 0.97, "sam_vit_b_01ec64.pth@ec2df6273261")

    The size of the model (ViT-B, -L or -H) is read off the checkpoint. Each box is asked for a single mask,
    as its makers advise for boxes.
    """

    packages = {
        "pycocotools": "masks",
        "segment_anything": "sam",
        "torch": "sam",
        "torchvision": "sam",  # which segment-anything imports and does not ask for
    }

    gpus: float | None = Field(default=None, ge=0)

    segmenter: Literal["segment_anything"] = "segment_anything"
    """What makes the masks."""
    checkpoint: str
    """File of the weights, such as sam_vit_b_01ec64.pth. Fine-tuned ones of the same architecture will do."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""

    _model: Any = PrivateAttr()

    def problems(self) -> list[str]:
        try:
            self._file()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        try:
            versions = {"segment-anything": importlib.metadata.version("segment-anything")}
            return {"model": weights.label(self._file()), **local_models.versions(), **versions}
        except (UserError, importlib.metadata.PackageNotFoundError):  # `problems` or `packages` says so
            return {}

    def setup(self) -> None:
        import torch

        torch.set_num_threads(max(1, int(self.cpus)))
        path = self._file()
        self._model = load(path).to(local_models.chosen_device(self.device))
        self._canvas = Canvas(self._model.image_encoder.img_size)
        self._label = weights.label(path)

    def encode(self, pixels: Array) -> Any:
        import torch

        with torch.inference_mode():
            return self._model.image_encoder(torch.from_numpy(pixels)[None].to(self._model.device))

    def decode(self, encoded: Any, corners: Array) -> tuple[Array, Array]:
        import torch

        boxes = torch.from_numpy(corners).to(self._model.device)
        with torch.inference_mode():
            sparse, dense = self._model.prompt_encoder(points=None, boxes=boxes, masks=None)
            masks, scores = self._model.mask_decoder(
                image_embeddings=encoded,
                image_pe=self._model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        return np.asarray(masks.cpu()), np.asarray(scores.cpu())

    def _file(self) -> Path:
        return weights.found("checkpoint", self.checkpoint, WANTED)


def load(path: Path) -> Any:
    """A SAM of the size that its weights have, ready to answer.

    Raises `UserError` for a file that is broken, holds more than tensors, or is no SAM.
    """
    import torch
    from segment_anything import sam_model_registry

    try:
        # Not by the package itself, which below torch 2.6 would run code that a pickle brings along.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile's, pickle's and torch's own
        raise UserError(
            f"checkpoint {str(path)!r} cannot be read: {_reason(error)}; give {WANTED}"
        ) from error
    width = len(state[WIDTH_KEY]) if isinstance(state, dict) and WIDTH_KEY in state else None
    if width not in WIDTHS:
        raise UserError(f"checkpoint {str(path)!r} holds no SAM of a size that is known; give {WANTED}")
    model = sam_model_registry[WIDTHS[width]]()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"checkpoint {str(path)!r} is no whole SAM: {_reason(error)}; give {WANTED}"
        ) from error
    return model.eval()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}, {' '.join(str(error).split())[:200]}"

"""Masks from the original `segment-anything` package and its .pth checkpoints."""

import importlib.metadata
from pathlib import Path
from typing import Any, Literal

from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights
from gritmill.stages.common import local_models
from gritmill.stages.common.weight_files import Sha256, WeightFile
from gritmill.stages.segmenters.canvas import Canvas
from gritmill.stages.segmenters.pytorch import TorchSegment

WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Channels of the image encoder -> the name of its builder in `sam_model_registry`."""
WIDTH_KEY = "image_encoder.patch_embed.proj.weight"
WANTED = "a checkpoint of segment-anything, such as sam_vit_b_01ec64.pth"


class SegmentAnythingSegmenter(TorchSegment):
    """Boxes -> masks, by SAM as its makers published it.

    Box(.1, .2, .5, .9) -> Mask(426, 640, "PXZ8...", 0.97, "sam_vit_b_01ec64.pth@ec2df6273261")

    The size of the model (ViT-B, -L or -H) is read off the checkpoint. Each box is asked for a single mask,
    as its makers advise for boxes.
    """

    packages = TorchSegment.packages | {
        "segment_anything": "sam",
        "torchvision": "sam",  # which segment-anything imports and does not ask for
    }

    segmenter: Literal["segment_anything"] = "segment_anything"
    """What makes the masks."""
    checkpoint: str
    """File of the weights, such as sam_vit_b_01ec64.pth. Fine-tuned ones of the same architecture will do."""
    sha256: Sha256 | None = None
    """Digest that the file must have; null takes it as it is. Either way its first digits are in `model`
    of every mask."""

    def problems(self) -> list[str]:
        try:
            self._file.digest()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        try:
            versions = {"segment-anything": importlib.metadata.version("segment-anything")}
            return {"model": self._file.label(), **local_models.versions(), **versions}
        except (UserError, importlib.metadata.PackageNotFoundError):  # `problems` or `packages` says so
            return {}

    def needed_weights(self) -> list[Weights]:
        return [self._file.weights()]

    def load(self) -> Any:
        self._label = self._file.label()
        model = load(self._file.path())
        self._canvas = Canvas(model.image_encoder.img_size)
        return model

    def features(self, pixels: Any) -> Any:
        return self._model.image_encoder(pixels)

    def answer(self, encoded: Any, corners: Any) -> tuple[Any, Any]:
        sparse, dense = self._model.prompt_encoder(points=None, boxes=corners, masks=None)
        masks, scores = self._model.mask_decoder(
            image_embeddings=encoded,
            image_pe=self._model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return masks, scores

    @property
    def _file(self) -> WeightFile:
        return WeightFile("checkpoint", self.checkpoint, WANTED, self.sha256)


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

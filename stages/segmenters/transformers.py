"""Masks from SAM, SAM 2 or SAM 3 in the transformers library."""

from pathlib import Path
from typing import Any, Literal

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.weights import Weights
from gritmill.stages.common import local_models
from gritmill.stages.segmenters.canvas import Canvas
from gritmill.stages.segmenters.pytorch import TorchSegment

TYPES = ("sam", "sam2", "sam2_video", "sam3_tracker", "sam3_video")
"""Architectures that take boxes and give masks. Those for video hold the one for images."""


class TransformersSegmenter(TorchSegment):
    """Boxes -> masks, by SAM, SAM 2 or SAM 3 of the transformers library.

    Box(.1, .2, .5, .9) -> Mask(426, 640, "PXZ8...", 0.97, "facebook/sam2.1-hiera-large@3a2f...")

    Each box is asked for a single mask, as its makers advise for boxes. SAM 3 makes masks as SAM 2 does;
    what it finds for a noun phrase is the business of `ground: {grounder: sam3}`. Images are resized with
    Pillow after the checkpoint's own settings, so that masks do not depend on whether torchvision is
    installed.
    """

    packages = TorchSegment.packages | {"transformers": "grounders"}

    segmenter: Literal["transformers"] = "transformers"
    """What makes the masks."""
    model: str = "facebook/sam2.1-hiera-small"
    """Hub id or folder of a SAM, SAM 2 or SAM 3 checkpoint."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts. Give a
    commit where a recipe is to give the same masks next year."""

    def problems(self) -> list[str]:
        return local_models.problems_of(self.model, self.model_revision, TYPES)

    def revision(self) -> dict[str, str]:
        return local_models.revision_of(self.model, self.model_revision)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def load(self) -> Any:
        checkpoint = checkpoints.find(self.model, self.model_revision)
        local_models.check_architecture(checkpoint, TYPES)
        self._canvas = local_models.load_part(checkpoint, canvas_of)
        self._label = checkpoint.label
        return local_models.load_model(checkpoint, "AutoModelForMaskGeneration")

    def features(self, pixels: Any) -> Any:
        # SAM gives one map, SAM 2 and 3 one for each scale.
        return self._model.get_image_embeddings(pixels)

    def answer(self, encoded: Any, corners: Any) -> tuple[Any, Any]:
        found = self._model(
            image_embeddings=list(encoded) if isinstance(encoded, list) else encoded,
            input_boxes=corners[None],
            multimask_output=False,
        )
        return found.pred_masks[0], found.iou_scores[0]


def canvas_of(folder: Path) -> Canvas:
    """What the checkpoint's image processor does; not by itself, as those of SAM 2 and 3 want torchvision."""
    from transformers import BaseImageProcessor

    settings, _ = BaseImageProcessor.get_image_processor_dict(folder)
    size = settings["size"]
    stretch = "longest_edge" not in size
    side = size["height"] if stretch else size["longest_edge"]
    return Canvas(side, stretch, tuple(settings["image_mean"]), tuple(settings["image_std"]))

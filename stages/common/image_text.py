"""What stages share that compare images with texts, by CLIP or a model like it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.weights import Weights
from gritmill.stages.base import Stage
from gritmill.stages.common import local_models

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

TYPES = ("align", "altclip", "chinese_clip", "clip", "metaclip_2", "siglip", "siglip2")
"""Architectures that give one vector for an image and one for a text."""

FIXED = ("siglip", "siglip2")
"""Those that were trained on texts filled up to their full length, and need them so."""


class ImageTextStage(Stage):
    """Images and texts -> vectors of length one, whose product is their cosine.

    Any CLIP-like model of the transformers library. What it cannot read of a long text (CLIP takes 77
    tokens) is cut off.
    """

    packages: ClassVar[dict[str, str]] = {"torch": "grounders", "transformers": "grounders"}

    batch_size: int = Field(default=64, ge=1)
    gpus: float | None = Field(default=None, ge=0)
    """GPUs that a worker of this stage holds; null takes one if the machine has any."""
    model: str = "openai/clip-vit-base-patch32"
    """Hub id or folder of a checkpoint."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    device: local_models.Device = "auto"
    """Where the model runs; auto takes a GPU if there is one."""
    precision: local_models.Precision = "auto"
    """Numbers the model calculates in; auto takes half precision on a GPU."""

    _model: Any = PrivateAttr()
    _processor: Any = PrivateAttr()
    _halving: local_models.Halving = PrivateAttr()

    def problems(self) -> list[str]:
        return local_models.problems_of(self.model, self.model_revision, TYPES)

    def revision(self) -> dict[str, str]:
        return local_models.revision_of(self.model, self.model_revision)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def setup(self) -> None:
        import torch

        # No more threads than cores held, or workers that share cores wait for each other.
        torch.set_num_threads(max(1, int(self.cpus)))
        checkpoint = checkpoints.find(self.model, self.model_revision)
        local_models.check_architecture(checkpoint, TYPES)
        device = local_models.chosen_device(self.device)
        precision = getattr(torch, local_models.chosen_precision(self.precision, device))
        self._processor = local_models.load_part(checkpoint, local_models.processor)
        local_models.check_tokenizer(self._processor.tokenizer)
        self._model = local_models.load_model(checkpoint, "AutoModel").to(device, precision)
        self._halving = local_models.Halving(self.batch_size)

    def seen(self, images: Sequence["PILImage"]) -> list[Any]:
        """A vector for each image."""
        return self._halving(self._seen, images)

    def read(self, texts: Sequence[str]) -> list[Any]:
        """A vector for each text."""
        return self._halving(self._read, texts)

    def _seen(self, images: Sequence["PILImage"]) -> Sequence[Any]:
        return self._embedded(
            self._model.get_image_features, self._processor(images=list(images), return_tensors="pt")
        )

    def _read(self, texts: Sequence[str]) -> Sequence[Any]:
        # Filled up to one length, so that no row depends on what it shares a batch with.
        inputs = self._processor(text=list(texts), padding="max_length", truncation=True, return_tensors="pt")
        if self._model.config.model_type in FIXED:
            inputs.pop("attention_mask", None)
        return self._embedded(self._model.get_text_features, inputs)

    def _embedded(self, features: Any, inputs: Any) -> Sequence[Any]:
        """Vectors of length one, on the CPU."""
        import torch

        given = {
            name: value.to(
                self._model.device, self._model.dtype if value.is_floating_point() else value.dtype
            )
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            found = features(**given)
        vectors = getattr(found, "pooler_output", found).float().cpu()
        if not torch.isfinite(vectors).all():
            raise ValueError("the model gave numbers that are not finite")
        return list(torch.nn.functional.normalize(vectors, dim=-1))

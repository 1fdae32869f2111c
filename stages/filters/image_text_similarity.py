"""Drops captions that do not go with their images, by CLIP or a model like it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, PrivateAttr

from schemas import checkpoints
from schemas.columns import Columns
from schemas.images import decode
from schemas.weights import Weights
from stages import local_models
from stages.filters.base import AtLeast, Filter

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

TYPES = ("align", "altclip", "chinese_clip", "clip", "metaclip_2", "siglip", "siglip2")
"""Architectures that give one vector for an image and one for a text."""

FIXED = ("siglip", "siglip2")
"""Those that were trained on texts filled up to their full length, and need them so."""


class ImageTextSimilarity(Filter):
    """Image and caption -> the cosine of their embeddings.

    a dog in a field, "a dog in a field" -> 0.31
    a dog in a field, "buy cheap shoes"  -> Reject("dissimilar", 0.12, 0.28)

    Any CLIP-like model of the transformers library. What it cannot read of a long caption (CLIP takes 77
    tokens) is cut off. An image that several rows of a call share is looked at once.
    """

    reads = ("image", "caption")
    writes = {"similarity": float}
    packages = {"torch": "grounders", "transformers": "grounders"}
    bounds = (AtLeast("similarity", "min_similarity", "dissimilar"),)

    batch_size: int = Field(default=64, ge=1)
    gpus: float | None = Field(default=None, ge=0)
    """GPUs that a worker of this stage holds; null takes one if the machine has any."""
    model: str = "openai/clip-vit-base-patch32"
    """Hub id or folder of a checkpoint."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    min_similarity: float | None = Field(default=0.28, ge=-1, le=1)
    """Cosine that a sample must have; null for any. 0.28 is LAION-5B's for English, by this very model
    (arXiv 2210.08402); other models have other scales, SigLIP's being much lower. Measure first."""
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

    def loads(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def setup(self) -> None:
        import torch
        from transformers import AutoProcessor

        checkpoint = checkpoints.find(self.model, self.model_revision)
        local_models.check_architecture(checkpoint, TYPES)
        device = local_models.chosen_device(self.device)
        precision = getattr(torch, local_models.chosen_precision(self.precision, device))
        self._processor = local_models.load_part(checkpoint, AutoProcessor.from_pretrained)
        local_models.check_tokenizer(self._processor.tokenizer)
        self._model = local_models.load_model(checkpoint, "AutoModel").to(device, precision)
        self._halving = local_models.Halving(self.batch_size)

    def measure(self, batch: Columns) -> Columns:
        encoded = [image.read() for image in batch["image"]]
        once = {data: i for i, data in enumerate(dict.fromkeys(encoded))}
        images = self._halving(self._seen, [decode(data) for data in once])
        texts = self._halving(self._read, [caption or "" for caption in batch["caption"]])
        pairs = zip((images[once[data]] for data in encoded), texts, strict=True)
        return {"similarity": [round(float(image @ text), 4) for image, text in pairs]}

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

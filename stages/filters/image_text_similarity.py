"""Drops captions that do not go with their images, by CLIP or a model like it."""

from pydantic import Field

from gritmill.schemas.columns import Columns
from gritmill.schemas.images import decode
from gritmill.stages.common.image_text import ImageTextStage
from gritmill.stages.filters.base import AtLeast, Filter


class ImageTextSimilarity(ImageTextStage, Filter):
    """Image and caption -> the cosine of their embeddings.

    a dog in a field, "a dog in a field" -> 0.31
    a dog in a field, "buy cheap shoes"  -> Reject("dissimilar", 0.12, 0.28)

    Any CLIP-like model of the transformers library. What it cannot read of a long caption (CLIP takes 77
    tokens) is cut off. An image that several rows of a call share is looked at once.
    """

    reads = ("image", "caption")
    writes = {"similarity": float}
    bounds = (AtLeast("similarity", "min_similarity", "dissimilar"),)

    min_similarity: float | None = Field(default=0.28, ge=-1, le=1)
    """Cosine that a sample must have; null for any. 0.28 is LAION-5B's for English, by this very model
    (arXiv 2210.08402); other models have other scales, SigLIP's being much lower. Measure first."""

    def measure(self, batch: Columns) -> Columns:
        encoded = [image.read() for image in batch["image"]]
        once = {data: i for i, data in enumerate(dict.fromkeys(encoded))}
        images = self.seen([decode(data) for data in once])
        texts = self.read([caption or "" for caption in batch["caption"]])
        pairs = zip((images[once[data]] for data in encoded), texts, strict=True)
        return {"similarity": [round(float(image @ text), 4) for image, text in pairs]}

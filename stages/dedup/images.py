"""Images that come more than once: the same bytes, nearly the same picture, or the same thing to a model.

What is judged is the image, by its `image_id`: all its samples stay or go together, and its several
captions are no duplicates of one another.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.columns import Columns
from gritmill.schemas.images import Image
from gritmill.schemas.weights import Weights
from gritmill.stages.common import local_models
from gritmill.stages.dedup import embeddings, perceptual
from gritmill.stages.dedup.base import Deduplicate, Features
from gritmill.stages.dedup.components import Components
from gritmill.stages.dedup.keeper import LARGEST, ReadsForKeeper, ranks


class Unreadable(Exception):
    """An image that cannot be had or decoded; its message says why."""


class DeduplicateImages(Deduplicate):
    """What the ways to tell images apart share."""

    reads: ClassVar = ReadsForKeeper("key", "image_id", "image")

    of = "image"
    thing = "image_id"

    keep: str = LARGEST
    """Which of a cluster stays: `largest` (most pixels), `lowest_key` (the lowest image_id), or a column of
    numbers, such as a similarity, whose highest value stays. Of equal ones the lowest image_id."""

    def sketch(self, part: Columns) -> Columns:
        images = dict(zip(part["image_id"], part["image"], strict=True))
        found = dict(zip(images, self.features(list(images.values())), strict=True))
        rows = [found[image_id] for image_id in part["image_id"]]
        return {
            "thing": part["image_id"],
            "rank": ranks(part, self.keep),
            "feature": [None if isinstance(row, Unreadable) else row for row in rows],
            "problem": [str(row) if isinstance(row, Unreadable) else None for row in rows],
        }

    def features(self, images: Sequence[Image]) -> Sequence[bytes | Unreadable | None]:
        """The feature of each image; None for one that is no duplicate of any."""
        raise NotImplementedError


class ExactImages(DeduplicateImages):
    """Keeps one of the images that have the same bytes, by SHA-256.

    the file of 000000000139 under another name
        -> Reject("duplicate_image", "duplicate of 000000000139", "same bytes")
    """

    writes = {"image_cluster": str, "image_cluster_size": int}

    by: Literal["exact"] = "exact"
    """How images are told apart."""

    @property
    def limit(self) -> str:
        return "same bytes"

    def features(self, images: Sequence[Image]) -> Sequence[bytes | Unreadable | None]:
        return [_tried(lambda data: hashlib.sha256(data).digest()[:16], image) for image in images]


class PerceptualImages(DeduplicateImages):
    """Keeps one of the images that look the same, by a perceptual hash of 128 bits.

    000000000139, half the size and recompressed
        -> Reject("duplicate_image", "duplicate of 000000000139 (distance 3)", "radius 15")

    An image with too little to see (plain colours, soft gradients) has no hash and is nobody's duplicate.
    """

    writes = {"image_cluster": str, "image_cluster_size": int, "image_distance": int}
    measures = "image_distance"

    by: Literal["perceptual"] = "perceptual"
    """How images are told apart."""
    radius: int = Field(default=perceptual.RADIUS, ge=0, le=perceptual.MAX_RADIUS)
    """Bits of 128 in which the hashes of duplicates may differ (Hamming distance). Above 15 the search
    takes eight times as long."""
    mirrored: bool = True
    """Whether an image and its mirror image are duplicates."""

    @property
    def limit(self) -> str:
        return f"radius {self.radius}"

    def features(self, images: Sequence[Image]) -> Sequence[bytes | Unreadable | None]:
        return [_tried(perceptual.perceptual_hash, image) for image in images]

    def join_near(self, features: Features, components: Components) -> None:
        hashes = np.array(features).view(np.uint64)
        for a, b in perceptual.neighbours(hashes, self.radius):
            components.join(a, b)
        for queries in [hashes, perceptual.mirrored(hashes)] if self.mirrored else [hashes]:
            for a, b in perceptual.near_pairs(queries, hashes, self.radius, components.all):
                components.join(a, b)

    def nearness(self, feature: bytes, keeper: bytes) -> float:
        own, other = perceptual.as_hashes([feature]), perceptual.as_hashes([keeper])
        apart = int(perceptual.distance(own, other)[0])
        return (
            min(apart, int(perceptual.distance(perceptual.mirrored(own), other)[0]))
            if self.mirrored
            else apart
        )


class EmbeddingImages(DeduplicateImages):
    """Keeps one of the images that mean nearly the same to a model, by the cosine of their embeddings.

    000000000139 and the next shot of the same room
        -> Reject("duplicate_image", "duplicate of 000000000139 (cosine 0.9731)", "min_cosine 0.96")
    """

    writes = {"image_cluster": str, "image_cluster_size": int, "image_cosine": float}
    measures = "image_cosine"
    packages = {"torch": "grounders", "transformers": "grounders", "faiss": "dedup"}

    run_options: ClassVar = Deduplicate.run_options | {"images_at_once", "device"}

    gpus: float | None = Field(default=None, ge=0)
    """GPUs that a worker of this stage holds; null takes one if the machine has any."""
    by: Literal["embedding"] = "embedding"
    """How images are told apart."""
    model: str = "openai/clip-vit-base-patch32"
    """Hub id or folder of a model with an image tower: CLIP, SigLIP, ALIGN and the like, DINOv2, ViT."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    min_cosine: float = Field(default=0.96, gt=0, le=1)
    """Cosine that two embeddings must have to be duplicates. It depends on the model: choose it in `measure`
    mode. SemDeDup (Abbas et al., 2023) drops at 0.93 to 0.99 for CLIP."""
    probes: int = Field(default=8, ge=1)
    """Cells of the index that are searched; more find more and take longer."""
    images_at_once: int = Field(default=32, ge=1)
    """Images that the model sees at once."""
    device: local_models.Device = "auto"
    """Where the model runs; `auto` takes a GPU that the worker holds."""

    _tower: Any = PrivateAttr(default=None)

    def problems(self) -> list[str]:
        return embeddings.problems(self.model, self.model_revision)

    def revision(self) -> dict[str, str]:
        return local_models.revision_of(self.model, self.model_revision) | embeddings.versions()

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    @property
    def limit(self) -> str:
        return f"min_cosine {self.min_cosine:g}"

    def features(self, images: Sequence[Image]) -> Sequence[bytes | Unreadable | None]:
        # Not in setup: the workers that only apply the decision need no model.
        if self._tower is None:
            checkpoint = checkpoints.find(self.model, self.model_revision)
            self._tower = embeddings.ImageTower(checkpoint, self.device, self.images_at_once)
        pictures = local_models.ahead(lambda image: _tried(embeddings.opened, image), images, 2, 64)
        return [
            found if isinstance(found, Unreadable) else embeddings.packed(found)
            for found in self._tower.embedded(pictures)
        ]

    def join_near(self, features: Features, components: Components) -> None:
        for a, b in embeddings.near_pairs(features, self.min_cosine, self.probes):
            components.join(a, b)

    def nearness(self, feature: bytes, keeper: bytes) -> float:
        return embeddings.cosine(feature, keeper)


def _tried(work: Any, image: Image) -> Any:
    """What `work` makes of the image's bytes, or why there is nothing."""
    try:
        return work(image.read())
    except Exception as error:  # Pillow's codecs raise nearly anything; a sketch must not fall with one image
        return Unreadable(str(error) or type(error).__name__)

"""Captions that come more than once, to the letter or nearly so."""

import hashlib
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gritmill.schemas.columns import Columns
from gritmill.stages.dedup import minhash
from gritmill.stages.dedup.base import Deduplicate, Features
from gritmill.stages.dedup.components import Components
from gritmill.stages.dedup.keeper import LOWEST_KEY, ReadsForKeeper, ranks
from gritmill.stages.dedup.texts import normalised


class DeduplicateCaptions(Deduplicate):
    """What the ways to tell captions apart share: a sample is judged by its own caption alone."""

    reads: ClassVar = ReadsForKeeper("key", "caption")

    of = "caption"
    thing = "key"

    keep: str = LOWEST_KEY
    """Which of a cluster stays: `lowest_key`, `largest` (the image with most pixels), or a column of numbers,
    such as a similarity, whose highest value stays. Of equal ones the lowest key."""

    def sketch(self, part: Columns) -> Columns:
        return {
            "thing": part["key"],
            "rank": ranks(part, self.keep),
            "feature": self.features([normalised(caption) for caption in part["caption"]]),
            "problem": [None] * len(part["key"]),
        }

    def features(self, captions: list[str]) -> list[bytes]:
        """Normalised captions -> their features."""
        raise NotImplementedError


class ExactCaptions(DeduplicateCaptions):
    """Keeps one sample of each caption, whatever its case, punctuation and spaces.

    "A dog.", "a  dog" -> Reject("duplicate_caption", "duplicate of 000000000139_0", "same text")
    """

    writes = {"caption_cluster": str, "caption_cluster_size": int}

    by: Literal["exact"] = "exact"
    """How captions are told apart."""

    @property
    def limit(self) -> str:
        return "same text"

    def features(self, captions: list[str]) -> list[bytes]:
        return [hashlib.sha256(c.encode("utf-8", "surrogatepass")).digest()[:16] for c in captions]


class MinHashCaptions(DeduplicateCaptions):
    """Keeps one sample of captions that share most of their words, by the Jaccard similarity of n-grams.

    "a man rides a horse on a beach", "a man rides the horse on a beach"
        -> Reject("duplicate_caption", "duplicate of 000000000139_0 (jaccard 0.8275)", "min_jaccard 0.8")

    The similarity is estimated, with a standard deviation of 0.035 at 0.8.
    """

    writes = {"caption_cluster": str, "caption_cluster_size": int, "caption_jaccard": float}
    measures = "caption_jaccard"

    by: Literal["minhash"] = "minhash"
    """How captions are told apart."""
    min_jaccard: float = Field(default=0.8, ge=0.3, le=1)
    """Share of n-grams that two captions must have in common to be duplicates."""
    characters: int = Field(default=4, ge=1, le=16)
    """Letters of an n-gram, spaces among them: characters, as they serve languages without spaces, too."""

    @property
    def limit(self) -> str:
        return f"min_jaccard {self.min_jaccard:g}"

    def features(self, captions: list[str]) -> list[bytes]:
        return minhash.signatures(captions, self.characters)

    def join_near(self, features: Features, components: Components) -> None:
        minhash.join_near(features, self.min_jaccard, components)

    def nearness(self, feature: bytes, keeper: bytes) -> float:
        own, other = np.frombuffer(feature, np.uint8), np.frombuffer(keeper, np.uint8)
        return float(minhash.jaccard(own, other))

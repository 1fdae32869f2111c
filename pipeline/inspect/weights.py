"""Which weights a job will load: from where, under which licence, how large, and whether they are here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.model_facts import HUB, model_facts
from gritmill.schemas.weights import Weights

TINY = "tiny"
"""The model of `train:` that is made from scratch."""


class KnownWeights(NamedTuple):
    """Weights and what is known of them.

    >>> Found("ground", Weights("IDEA-Research/grounding-dino-tiny", "hub", ...), True, 689_359_096)
    """

    step: str
    weights: Weights
    is_here: bool
    """All of it lies on this machine."""
    bytes: int | None
    """None if that is not known."""

    def lines(self) -> Iterator[str]:
        """What `pipeline plan` says of it.

        ground: IDEA-Research/grounding-dino-tiny@a2bb814dd30d, licence apache-2.0, 689.4 MB, to be downloaded
            from https://huggingface.co/IDEA-Research/grounding-dino-tiny
            not pinned: `model_revision: a2bb814dd30d...` holds the recipe to these weights
        """
        weights = self.weights
        revision = weights.revision[:12] or "unknown"
        licence = f"licence {self.licence}"
        yield f"{self.step}: {weights.name}@{revision}, {licence}, {self.size}, {self.where}"
        if weights.unpinned:
            now = f": {weights.revision}" if weights.revision else ""
            yield f"    not pinned: `{weights.unpinned}{now}` holds the recipe to these weights"

    @property
    def licence(self) -> str:
        facts = model_facts(self.weights.name)
        if facts is None:
            return "unknown"
        return facts.terms + ("" if facts.verified else " (unchecked)")

    @property
    def size(self) -> str:
        if self.bytes is None:
            return "size unknown"
        return f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:,.1f} MB"

    @property
    def where(self) -> str:
        """Where it lies, or else where it comes from."""
        if self.is_here:
            return f"on disk in {self.weights.place}"
        if self.weights.origin == "hub":
            return f"to be downloaded from {HUB.format(name=self.weights.name)}"
        return "not on disk"


def weights_of(job: Job) -> list[KnownWeights]:
    """The weights of every stage, in order, and of training and evaluation. Downloads none of them."""
    found = [(named.name, weights) for named in job.stages for weights in named.stage.needed_weights()]
    if job.train and job.train.model != TINY:
        found.append(("train", checkpoints.weights(job.train.model, job.train.revision, "revision")))
    if job.eval.model:
        found.append(("eval", checkpoints.weights(job.eval.model, job.eval.revision, "revision")))
    return [look(step, weights) for step, weights in found]


def look(step: str, weights: Weights) -> KnownWeights:
    """Looks at the disk; only the size of what is not there is asked of the hub, if it can be reached."""
    place = Path(weights.place)
    if not weights.place or not place.exists():
        return KnownWeights(step, weights, False, _size_on_hub(weights))
    if place.is_file():
        return KnownWeights(step, weights, True, place.stat().st_size)
    files = [path for path in place.glob(weights.files) if path.is_file()]
    if not files or not all((place / name).is_file() for name in _named_in_index(place)):
        return KnownWeights(step, weights, False, _size_on_hub(weights))
    return KnownWeights(step, weights, True, sum(path.stat().st_size for path in files))


def _named_in_index(folder: Path) -> set[str]:
    """The files that large weights are divided into; empty for weights in one file."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())


def _size_on_hub(weights: Weights) -> int | None:
    return checkpoints.size_on_hub(weights) if weights.origin == "hub" and weights.revision else None

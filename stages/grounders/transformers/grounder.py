"""Boxes from a zero-shot detection model of the transformers library."""

from typing import Literal

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.weights import Weights
from gritmill.stages.common.local_models import (
    Device,
    Precision,
    chosen_device,
    chosen_precision,
    problems_of,
    revision_of,
)
from gritmill.stages.grounders.common.detecting import DetectorGrounder
from gritmill.stages.grounders.common.detector import Detector
from gritmill.stages.grounders.common.token_span import TokenSpanDetector
from gritmill.stages.grounders.transformers.zero_shot import FAMILIES, load


class TransformersGrounder(DetectorGrounder):
    """Noun chunks -> candidate boxes, by a zero-shot detector of the transformers library.

    "a dog in a field" asked as "a dog. a field." ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "grounding-dino-tiny@a2bb81...", "a dog"), ...]

    By Grounding DINO, MM-Grounding-DINO, LLMDet, OMDet-Turbo, OWL-ViT or OWLv2. What phrases go through, and
    how images share a pass, is `DetectorGrounder`'s to say.
    """

    packages = {"scipy": "grounders", "torch": "grounders", "transformers": "grounders"}

    grounder: Literal["transformers"] = "transformers"
    """Where the boxes come from."""
    model: str = "IDEA-Research/grounding-dino-tiny"
    """Hub id or folder of a zero-shot detection model."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts. Give a
    commit where a recipe is to give the same boxes next year."""
    aggregation: Literal["max", "mean"] = "max"
    """How the scores of a phrase's tokens make up its score: the highest, as in Grounding DINO, or
    their mean, as in GLIP. OWL and OMDet score whole phrases, so there it changes nothing."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""
    precision: Precision = "auto"
    """What the model multiplies in; auto is bfloat16 on a GPU (float16 where it lacks that), else float32."""

    def problems(self) -> list[str]:
        return problems_of(self.model, self.model_revision, FAMILIES)

    def revision(self) -> dict[str, str]:
        return revision_of(self.model, self.model_revision)

    def needed_weights(self) -> list[Weights]:
        return [checkpoints.weights(self.model, self.model_revision)]

    def _load(self) -> tuple[Detector, str]:
        device = chosen_device(self.device)
        precision = chosen_precision(self.precision, device)
        checkpoint = checkpoints.find(self.model, self.model_revision)
        detector = load(checkpoint, device, precision)
        if isinstance(detector, TokenSpanDetector):
            detector.aggregation = self.aggregation
        return detector, checkpoint.label

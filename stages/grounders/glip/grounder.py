"""Boxes from GLIP, with the checkpoint files that its authors published."""

from typing import Literal

from gritmill.schemas.errors import UserError
from gritmill.stages.common.local_models import chosen_device
from gritmill.stages.common.weight_files import WeightFile
from gritmill.stages.grounders.common.detector import Detector
from gritmill.stages.grounders.common.official import OfficialFileGrounder

WANTED = "one of GLIP's files, which are at https://huggingface.co/GLIPModel/GLIP"
"""Linked from the README of microsoft/GLIP."""


class GlipGrounder(OfficialFileGrounder):
    """Noun chunks -> candidate boxes by GLIP, with which GRIT was made.

    "a dog in a field" asked as "a dog. a field" ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "glip_large_model.pth@5bd2...", "a dog"), ...]

    A score is the square root of how well a phrase's tokens are met, in the mean, times how well the place
    is centred in its box. Of a phrase's boxes, those that overlap a better one by an IoU of more than 0.6
    are left out, as in the official code: every place of the image has one. What phrases go through, and how
    images share a pass, is `DetectorGrounder`'s to say.
    """

    packages = {"torch": "grounders", "transformers": "grounders"}

    grounder: Literal["glip"] = "glip"
    """Where the boxes come from."""
    model: str
    """File of an official checkpoint, such as glip_tiny_model_o365_goldg_cc_sbu.pth or
    glip_large_model.pth. Its weights tell its sizes."""

    def _load(self) -> tuple[Detector, str]:
        from gritmill.stages.grounders.glip import checkpoint
        from gritmill.stages.grounders.glip.detector import GlipDetector

        device = chosen_device(self.device)
        label, tokenizer = self._file.label(), self._tokenizer()
        model = checkpoint.load(self._file.path())
        if len(tokenizer) != model.vocabulary:
            raise UserError(
                f"tokenizer {self.tokenizer!r} has {len(tokenizer)} words where {self._file} knows "
                f"{model.vocabulary}; use google-bert/bert-base-uncased"
            )
        return GlipDetector(model, tokenizer, device, self.max_boxes_per_phrase), label

    @property
    def _file(self) -> WeightFile:
        return WeightFile("model", self.model, WANTED, self.sha256)

"""Boxes from the original Grounding DINO, with the package and the checkpoint files of its authors."""

from typing import ClassVar, Literal

from pydantic import Field

from gritmill.schemas.errors import UserError
from gritmill.stages.common.local_models import chosen_device, versions
from gritmill.stages.common.weight_files import WeightFile
from gritmill.stages.grounders.common.detector import Detector
from gritmill.stages.grounders.common.official import OfficialFileGrounder

WANTED = "one of the files of https://github.com/IDEA-Research/GroundingDINO/releases"


class GroundingDinoGrounder(OfficialFileGrounder):
    """Noun chunks -> candidate boxes by Grounding DINO as its authors published it.

    "a dog in a field" asked as "a dog. a field." ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "groundingdino_swint_ogc.pth@3b3c...", "a dog"), ...]

    The package does not work with the transformers that all else here needs, so Ray gives this stage's
    workers an older one. For the same models with today's, take `transformers`. What phrases go through is
    `DetectorGrounder`'s to say.
    """

    packages = {
        "groundingdino": "groundingdino",
        "torchvision": "groundingdino",
        "virtualenv": "groundingdino",  # with which Ray makes such workers
    }
    # The last that have what the package calls in BERT.
    pinned_packages: ClassVar[dict[str, str]] = {"transformers": "4.57.1", "tokenizers": "0.22.1"}

    grounder: Literal["groundingdino"] = "groundingdino"
    """Where the boxes come from."""
    model: str
    """File of an official checkpoint: groundingdino_swint_ogc.pth or groundingdino_swinb_cogcoor.pth. Its
    weights tell which."""
    images_at_once: int = Field(default=1, ge=1)
    """Most questions in one pass of the model, which images of one size can share if their phrases have as
    many tokens each; with others the package mixes up their masks. More than one changes last digits."""
    aggregation: Literal["max", "mean"] = "max"
    """How the scores of a phrase's tokens make up its score: the highest, as in the authors' code, or
    their mean."""

    def _load(self) -> tuple[Detector, str]:
        import transformers

        installed = versions()["transformers"]
        if not installed.startswith("4."):
            raise UserError(
                f"groundingdino does not work with transformers {installed}; `pipeline run` on Ray "
                "gives it an older one, or take `grounder: transformers` for the same models"
            )
        from gritmill.stages.grounders.groundingdino import checkpoint
        from gritmill.stages.grounders.groundingdino.detector import GroundingDinoDetector

        device = chosen_device(self.device)
        label, tokenizer = self._file.label(), self._tokenizer()
        model = checkpoint.load(self._file.path(), tokenizer, self._of_vocabulary(transformers.BertConfig))
        detector = GroundingDinoDetector(model, tokenizer, device)
        detector.aggregation = self.aggregation
        return detector, label

    @property
    def _file(self) -> WeightFile:
        return WeightFile("model", self.model, WANTED, self.sha256)

"""Boxes from GLIP, with the checkpoint files that its authors published."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from schemas import checkpoints
from schemas.errors import UserError
from schemas.weights import Weights
from stages import weight_files
from stages.grounders.detecting import DetectorGrounder
from stages.grounders.detector import Detector
from stages.grounders.glip import files
from stages.local_models import Device, chosen_device, versions


class GlipGrounder(DetectorGrounder):
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
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Digest that the file must have; null takes it as it is. Either way its first digits are in `model`
    of every box."""
    tokenizer: str = "google-bert/bert-base-uncased"
    """Hub id or folder of BERT's vocabulary, which the checkpoint does not hold."""
    tokenizer_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""

    def problems(self) -> list[str]:
        found = []
        for look in (self._digest, self._vocabulary):
            try:
                look()
            except UserError as error:
                found.append(str(error))
            except ModuleNotFoundError:  # `packages` says so
                pass
        return found

    def revision(self) -> dict[str, str]:
        try:
            decides = {"model": self._digest(), "tokenizer": self._vocabulary().revision}
        except (UserError, ModuleNotFoundError):  # `problems` or `packages` says so
            decides = {}
        return decides | versions()

    def loads(self) -> list[Weights]:
        return [
            weight_files.weights(self.model, "" if self.sha256 else "sha256"),
            checkpoints.weights(
                self.tokenizer, self.tokenizer_revision, "tokenizer_revision", files="tokenizer.json"
            ),
        ]

    def _load(self) -> tuple[Detector, str]:
        from stages.grounders.glip import checkpoint
        from stages.grounders.glip.detector import GlipDetector

        digest, tokenizer = self._digest(), self._tokenizer()
        path = Path(self.model).expanduser()
        model = checkpoint.load(path)
        if len(tokenizer) != model.vocabulary:
            raise UserError(
                f"tokenizer {self.tokenizer!r} has {len(tokenizer)} words where {path.name} knows "
                f"{model.vocabulary}; use google-bert/bert-base-uncased"
            )
        detector = GlipDetector(model, tokenizer, chosen_device(self.device), self.max_boxes_per_phrase)
        return detector, f"{path.name}@{digest[:12]}"

    def _tokenizer(self) -> Any:
        import transformers

        vocabulary = self._vocabulary()
        pinned = {} if vocabulary.is_local else {"revision": vocabulary.revision}
        try:
            return transformers.BertTokenizerFast.from_pretrained(vocabulary.source, **pinned)
        except Exception as error:  # several libraries have a say in it, each with errors of its own
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"tokenizer {self.tokenizer!r} cannot be loaded: {reason}") from error

    def _vocabulary(self) -> checkpoints.Checkpoint:
        return checkpoints.find(self.tokenizer, self.tokenizer_revision)

    def _digest(self) -> str:
        """SHA-256 of the checkpoint. Raises `UserError` if it is not there, or is not the one wanted."""
        found = files.digest(Path(self.model).expanduser())
        if self.sha256 not in (None, found):
            raise UserError(
                f"model {self.model!r} has the SHA-256 {found}, not {self.sha256}; download it again"
            )
        return found

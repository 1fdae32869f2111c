"""What grounders share that load a file as the model's authors published it, and BERT's vocabulary."""

from typing import Any

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights
from gritmill.stages.common.local_models import Device, versions
from gritmill.stages.common.weight_files import Sha256, WeightFile
from gritmill.stages.grounders.common.detecting import DetectorGrounder


class OfficialFileGrounder(DetectorGrounder):
    """Noun chunks -> candidate boxes, by a checkpoint file that is known by its digest."""

    model: str
    """File of an official checkpoint."""
    sha256: Sha256 | None = None
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
        for look in (self._file.digest, self._vocabulary):
            try:
                look()
            except UserError as error:
                found.append(str(error))
            except ModuleNotFoundError:  # `packages` says so
                pass
        return found

    def revision(self) -> dict[str, str]:
        try:
            decides = {"model": self._file.digest(), "tokenizer": self._vocabulary().revision}
        except (UserError, ModuleNotFoundError):  # `problems` or `packages` says so
            decides = {}
        return decides | versions()

    def needed_weights(self) -> list[Weights]:
        return [
            self._file.weights(),
            checkpoints.weights(
                self.tokenizer, self.tokenizer_revision, "tokenizer_revision", files="tokenizer.json"
            ),
        ]

    @property
    def _file(self) -> WeightFile:
        raise NotImplementedError

    def _tokenizer(self) -> Any:
        import transformers

        return self._of_vocabulary(transformers.BertTokenizerFast)

    def _of_vocabulary(self, cls: Any) -> Any:
        """What one of the classes of transformers makes of the vocabulary's folder or repository."""
        vocabulary = self._vocabulary()
        pinned = {} if vocabulary.is_local else {"revision": vocabulary.revision}
        try:
            return cls.from_pretrained(vocabulary.source, **pinned)
        except Exception as error:  # several libraries have a say in it, each with errors of its own
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"tokenizer {self.tokenizer!r} cannot be loaded: {reason}") from error

    def _vocabulary(self) -> checkpoints.Checkpoint:
        return checkpoints.find(self.tokenizer, self.tokenizer_revision)

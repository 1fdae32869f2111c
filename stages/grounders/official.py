"""What grounders share that load a file as the model's authors published it, and BERT's vocabulary."""

from pathlib import Path
from typing import Any

from pydantic import Field

from schemas import checkpoints
from schemas.errors import UserError
from schemas.weights import Weights
from stages import weight_files
from stages.grounders.detecting import DetectorGrounder
from stages.local_models import Device, versions


class OfficialFileGrounder(DetectorGrounder):
    """Noun chunks -> candidate boxes, by a checkpoint file that is known by its digest."""

    model: str
    """File of an official checkpoint."""
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

    @property
    def _file(self) -> Path:
        return Path(self.model).expanduser()

    @property
    def _file_label(self) -> str:
        """`glip_large_model.pth@5bd2...`"""
        return f"{self._file.name}@{self._digest()[:12]}"

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

    def _digest(self) -> str:
        """SHA-256 of the checkpoint. Raises `UserError` if it is not there, or is not the one wanted."""
        found = self._found_digest(self._file)
        if self.sha256 not in (None, found):
            raise UserError(
                f"model {self.model!r} has the SHA-256 {found}, not {self.sha256}; download it again"
            )
        return found

    def _found_digest(self, path: Path) -> str:
        """SHA-256 of the file. Raises `UserError`, which says where to get one, if it is not there."""
        raise NotImplementedError

"""Weights that are single files of the user's own, known by their content."""

import functools
import hashlib
import os
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from gritmill.schemas.errors import UserError
from gritmill.schemas.weights import Weights

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class WeightFile(NamedTuple):
    """A file that an option of a recipe names, and what it must be.

    >>> WeightFile("model", "yolox_nano.onnx", "the path of an ONNX file", None)
    """

    option: str
    name: str
    """As the recipe says it."""
    wanted: str
    """What to give where it is no file, for the message."""
    sha256: str | None
    """Digest that its content must have; None takes it as it is."""
    pin: str = "sha256"
    """The option that holds the digest."""

    def path(self) -> Path:
        """Raises `UserError` where there is no file that can be read."""
        path = Path(self.name).expanduser()
        if not path.is_file() or not os.access(path, os.R_OK):
            raise UserError(f"{self} is no file that can be read; give {self.wanted}")
        return path

    def digest(self) -> str:
        """SHA-256 of its content. Raises `UserError` if it is no file, or not the one that is wanted."""
        return self._checked(digest(self.path()))

    def label(self) -> str:
        """`yolox_nano.onnx@2c1f0b7a93de`, for boxes and masks that are made with it."""
        return f"{self.path().name}@{self.digest()[:12]}"

    def weights(self) -> Weights:
        """What would be loaded, for `Stage.loads`."""
        return weights(self.name, "" if self.sha256 else self.pin)

    def read(self) -> bytes:
        """Its content. Raises `UserError` as `digest` does."""
        content = self.path().read_bytes()
        self._checked(hashlib.sha256(content).hexdigest())
        return content

    def _checked(self, found: str) -> str:
        if self.sha256 not in (None, found):
            raise UserError(
                f"{self} has the SHA-256 {found}, but {self.pin} is {self.sha256}; download it again"
            )
        return found

    def __str__(self) -> str:
        return f"{self.option} {self.name!r}"


def digest(path: Path) -> str:
    """SHA-256 of a file, read once in a process as long as it is not touched. Raises `OSError`."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights(name: str, unpinned: str = "") -> Weights:
    """What would be loaded for a path, for `Stage.loads`; `unpinned` as in `Weights`."""
    path = Path(name).expanduser()
    try:
        return Weights(name, "disk", digest(path), str(path), unpinned=unpinned)
    except OSError:  # `problems` says so
        return Weights(name, "disk", "", unpinned=unpinned)

"""Which checkpoint file it is, without loading it."""

import functools
import hashlib
from pathlib import Path

from schemas.errors import UserError

ZOO = "https://huggingface.co/GLIPModel/GLIP"
"""Where the authors' files are, linked from the README of microsoft/GLIP."""


def digest(path: Path) -> str:
    """SHA-256 of the file's content; read once in a process. Raises `UserError` where there is none."""
    try:
        status = path.stat()
        if not path.is_file():
            raise UserError(f"model '{path}' is no file; give a checkpoint, such as glip_large_model.pth")
        return _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(
            f"model '{path}' cannot be read ({error.strerror}); download one of GLIP's files from {ZOO}"
        ) from error


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

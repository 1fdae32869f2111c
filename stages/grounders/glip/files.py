"""Which checkpoint file it is, without loading it."""

from pathlib import Path

from schemas.errors import UserError
from stages import weight_files

ZOO = "https://huggingface.co/GLIPModel/GLIP"
"""Where the authors' files are, linked from the README of microsoft/GLIP."""


def digest(path: Path) -> str:
    """SHA-256 of the file's content; read once in a process. Raises `UserError` where there is none."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"model '{path}' is no file; give a checkpoint, such as glip_large_model.pth")
        return weight_files.digest(path)
    except OSError as error:
        raise UserError(
            f"model '{path}' cannot be read ({error.strerror}); download one of GLIP's files from {ZOO}"
        ) from error

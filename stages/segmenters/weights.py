"""Weights that are plain files, known by their content."""

import hashlib
import os
from pathlib import Path

from schemas.errors import UserError
from stages import weight_files


def found(option: str, name: str, wanted: str) -> Path:
    """The file that an option names. Raises `UserError` if it is none; `wanted` says what to give."""
    path = Path(name).expanduser()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise UserError(f"{option} {name!r} is no file that can be read; give {wanted}")
    return path


def label(*paths: Path) -> str:
    """Name of the first and a short digest of all: `sam_vit_b_01ec64.pth@ec2df6273261`."""
    digests = [weight_files.digest(path) for path in paths]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"{paths[0].name}@{whole[:12]}"

"""Weights that are a single file of the user's own, known by its content."""

import functools
import hashlib
from pathlib import Path

from schemas.weights import Weights


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

"""Parts that are slices of a list of files: planning looks at the files, reading a part does not."""

import hashlib
import posixpath
from collections.abc import Sequence
from typing import Any

from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.schemas.columns import ImageRef, Reject


def find_in(folder: str, names: Sequence[object]) -> list[File | None]:
    """The files of names that data gave us; None for one that is not there or not in the folder."""
    return files.stat_all(folder, [files.inside(folder, n) if isinstance(n, str) else None for n in names])


def listed(found: Sequence[File | None]) -> dict[str, Any]:
    """What a part says of its files: their sizes (-1 for one that is not there), and whether any
    has changed.

    >>> listed([File("a.jpg", 16523, "16523-1763725823"), None])
    {'sizes': [16523, -1], 'files': '...'}
    """
    versions = "\n".join(file.version if file else "" for file in found)
    return {
        "sizes": [file.size if file else -1 for file in found],
        "files": hashlib.sha256(versions.encode()).hexdigest()[:16],
    }


def reference_to(folder: str, name: object, size: int) -> ImageRef | Reject:
    """An image by its name in a folder and its size in the part."""
    if not isinstance(name, str):
        return Reject("missing_image")
    path = files.inside(folder, name)
    if path is None:
        return Reject("bad_path", ascii(name)[1:-1][:200], folder)
    if size < 0:
        return Reject("missing_image", path)
    if size == 0:
        return Reject("empty_image", path)
    return ImageRef(posixpath.join(folder, path), 0, size)

"""Replies on disk, found again by what was asked: across runs, recipes and the machines of a cluster.

    replies/3f/9a02...c1.json    {"key": "3f9a02...c1", "backend": "openai", "text": "Question:\\n...", ...}

One small file a reply, written under another name, synced and renamed, so that it exists only if it is
whole; a shared file system needs no more than rename. There are no locks: two machines that ask the same
at the same moment both pay, and one of the two replies stays.
"""

import json
import os
from pathlib import Path

from gritmill.pipeline.storage import whole
from gritmill.stages.generation.backends.base import Completion

VARIABLE = "GRITMILL_REPLIES"


def default_folder() -> Path:
    """`$GRITMILL_REPLIES`, or else a folder of the user's cache."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "gritmill" / "replies"


class ReplyStore:
    """Replies under a folder, each by the key of its request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Completion | None:
        """None for one that was never kept, or whose file is not whole."""
        try:
            value = json.loads(self._path(key).read_bytes())
            if value.pop("key") != key:
                return None
            completion = Completion(**value)
        except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        return completion if completion.is_sound else None

    def put(self, key: str, completion: Completion) -> None:
        """On disk when it returns."""
        data = json.dumps({"key": key, **completion._asdict()}, separators=(",", ":"))
        whole.write(self._path(key), data.encode())

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

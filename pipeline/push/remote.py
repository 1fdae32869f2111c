"""What a dataset repository holds already."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from gritmill.pipeline.engine.finish import STATS
from gritmill.pipeline.push.files import LocalFile
from gritmill.pipeline.storage.store import Store

_FRESH = {".gitattributes", "README.md", "LICENSE"}
"""What the hub puts into a new repository, or its owner on its page."""


class Remote:
    """The files of one commit; of nothing at all where there is no repository yet."""

    def __init__(self, api: Any, repo: str, head: str | None) -> None:
        self._api, self._repo, self.head = api, repo, head
        self.files: dict[str, Any] = {}
        """{path: the library's `RepoFile`}."""
        if head:
            entries = api.list_repo_tree(repo, repo_type="dataset", revision=head, recursive=True)
            self.files = {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}

    @property
    def is_fresh(self) -> bool:
        """True where nobody has put any data."""
        return set(self.files) <= _FRESH

    def has(self, file: LocalFile, output: Store) -> bool:
        """True if it holds these very bytes under this path."""
        there = self.files.get(file.path)
        if there is None or there.size != file.size:
            return False
        if there.lfs:
            known = file.sha256 or hashlib.sha256(file.read(output)).hexdigest()
            return bool(there.lfs.sha256 == known)
        data = file.read(output)
        # git's own name for a file's content
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return bool(there.blob_id == blob)

    def owner(self) -> str | None:
        """The recipe whose dataset it is; None if it is none of ours."""
        if STATS not in self.files:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = self._api.hf_hub_download(
                self._repo, STATS, repo_type="dataset", revision=self.head, local_dir=folder
            )
            try:
                stats = json.loads(Path(path).read_bytes())
            except ValueError:
                return None
        return str(stats["name"]) if isinstance(stats, dict) and "funnel" in stats else None

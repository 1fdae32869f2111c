"""Compares a dataset with its repository, and uploads, commits and tags what differs."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gritmill.pipeline.push.checks import Say
from gritmill.pipeline.push.files import LocalFile, batches, is_ours, size_text
from gritmill.pipeline.push.remote import Remote
from gritmill.pipeline.push.trouble import status_of
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

IN_MEMORY = 10_000_000
"""Bytes up to which the hub may keep a file in git itself; a larger one always goes to its file storage."""
COMMIT_FILES = 500
"""Files in one commit: the hub takes minutes for thousands, and gives up at some."""


@dataclass(frozen=True)
class Pushed:
    """What was done, or would be.

    >>> Pushed(".../datasets/me/grit", "run-3f2a9c81d04b", "8c1f...", ("README.md",), (), 4212)
    """

    url: str
    tag: str
    """Names the revision: `run-` and the start of the SHA-256 of `SHA256SUMS`, so equal shards share it."""
    commit: str | None
    """The last commit; None after a dry run."""
    uploaded: tuple[str, ...]
    """Paths that the repository did not have, or had otherwise."""
    deleted: tuple[str, ...]
    """Shards and pictures of an earlier state of the dataset."""
    bytes: int
    """Size of what was uploaded."""


@dataclass
class Upload:
    """One push; `attempt` may be called until it returns."""

    api: Any
    repo: str
    output: Store
    files: Sequence[LocalFile]
    name: str
    private: bool
    dry_run: bool
    force: bool
    say: Say
    planned: tuple[tuple[LocalFile, ...], tuple[str, ...]] | None = None
    """What the first attempt found to upload and to delete."""

    def attempt(self) -> Pushed:
        """Compares, uploads, commits and tags. What an earlier attempt has done is found done."""
        tag = f"run-{hashlib.sha256(self.output.read(SUMS)).hexdigest()[:12]}"
        remote = Remote(self.api, self.repo, self._head())
        head = remote.head
        changed = tuple(file for file in self.files if not remote.has(file, self.output))
        stale = self._stale(remote)
        if self.planned is None:
            self.planned = changed, stale
            self._say_plan(changed, stale)
        if not self.dry_run:
            if changed or stale:
                head = self._commit(self._preupload(changed), stale, head)
            self.api.create_tag(
                self.repo, tag=tag, revision=head, repo_type="dataset", exist_ok=True, tag_message=self.name
            )
        uploaded, deleted = self.planned
        return Pushed(
            url=f"{self.api.endpoint}/datasets/{self.repo}",
            tag=tag,
            commit=None if self.dry_run else head,
            uploaded=tuple(file.path for file in uploaded),
            deleted=deleted,
            bytes=sum(file.size for file in uploaded),
        )

    def _head(self) -> str | None:
        """The newest commit; makes the repository if it is not there, but not in a dry run."""
        if not self.dry_run:
            # None leaves it to the organisation's own default.
            self.api.create_repo(self.repo, repo_type="dataset", private=self.private or None, exist_ok=True)
        try:
            info = self.api.dataset_info(self.repo)
        except Exception as error:
            if self.dry_run and status_of(error) == 404:
                return None
            raise
        if self.private and not info.private:
            raise UserError(f"{self.repo} is there already and public; make it private in its settings first")
        return str(info.sha)

    def _stale(self, remote: Remote) -> tuple[str, ...]:
        """What an earlier push of this recipe left. Whatever else is in the repository stays."""
        owner = remote.owner()
        if owner != self.name and not remote.is_fresh and not self.force:
            what = (
                "what is no dataset of ours" if owner is None else f"the dataset of another recipe, {owner!r}"
            )
            raise UserError(f"{self.repo} holds {what}; choose another --repo, or write over it with --force")
        if owner is None:
            return ()
        wanted = {file.path for file in self.files}
        return tuple(sorted(path for path in remote.files if path not in wanted and is_ours(path)))

    def _say_plan(self, changed: Sequence[LocalFile], stale: Sequence[str]) -> None:
        if self.dry_run:
            for file in changed:
                self.say(f"would upload {file.path} ({size_text(file.size)})")
            for path in stale:
                self.say(f"would delete {path}")
        same = len(self.files) - len(changed)
        self.say(
            f"{self.repo}: {len(changed):,} files ({size_text(sum(f.size for f in changed))}) to upload, "
            f"{same:,} there already, {len(stale):,} to delete"
        )

    def _preupload(self, changed: Sequence[LocalFile]) -> list[Any]:
        """Sends the content of what goes to the file storage; gives all additions, ready to commit."""
        additions: list[Any] = []
        sent = 0
        for batch in batches(changed):
            with tempfile.TemporaryDirectory() as folder:
                new = [self._addition(file, folder) for file in batch]
                self.api.preupload_lfs_files(self.repo, additions=new, repo_type="dataset")
            additions += new
            sent += sum(file.size for file in batch)
            self.say(f"{len(additions):,} of {len(changed):,} files uploaded, {size_text(sent)}")
        return additions

    def _addition(self, file: LocalFile, folder: str) -> Any:
        from huggingface_hub import CommitOperationAdd

        content: str | bytes
        if file.size <= IN_MEMORY:
            content = file.read(self.output)
        elif self.output.is_local:
            content = self.output.full(file.path)
        else:
            content = str(Path(folder) / file.path.replace("/", "-"))
            self.output.fs.get_file(self.output.full(file.path), content)
        addition = CommitOperationAdd(file.path, content)
        if file.sha256 and addition.upload_info.sha256.hex() != file.sha256 and not self.force:
            raise UserError(f"{file.path} is not what the run wrote; run the recipe again, or use --force")
        return addition

    def _commit(self, additions: Sequence[Any], stale: Sequence[str], head: str | None) -> str | None:
        from huggingface_hub import CommitOperationDelete

        operations = [*(CommitOperationDelete(path, is_folder=False) for path in stale), *additions]
        commits = range(0, len(operations), COMMIT_FILES)
        for number, start in enumerate(commits, 1):
            part = f" ({number} of {len(commits)})" if len(commits) > 1 else ""
            done = self.api.create_commit(
                self.repo,
                operations[start : start + COMMIT_FILES],
                commit_message=f"{self.name}{part}",
                repo_type="dataset",
                parent_commit=head,
            )
            head = str(done.oid)
        return head

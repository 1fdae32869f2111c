"""`pipeline push`: a finished dataset goes to the Hugging Face hub, and only what has changed of it.

Shards are uploaded first and then committed together, as far as one commit goes, so that whoever loads the
dataset meanwhile sees the old one or the new one. A push that was cut begins by looking at what is there:
what was committed is not compared again, what was only uploaded is not sent again.
"""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.output.checksums import parse_sums
from pipeline.output.finish import REPORT, STATS, SUMS
from pipeline.output.formats import FORMATS
from pipeline.recipes import RECORDED, Job, record
from pipeline.store import Store
from pipeline.verify import verify
from schemas.errors import UserError

CARD = "README.md"
BESIDE = (STATS, CARD, "croissant.json", "report.html", "LICENSE", RECORDED, REPORT, SUMS)
"""What goes along with the shards if it lies in the dataset's folder."""

_FRESH = {".gitattributes", "README.md", "LICENSE"}
"""What the hub puts into a new repository, or its owner on its page."""
_IN_MEMORY = 10_000_000
"""Bytes up to which the hub may keep a file in git itself; a larger one always goes to its file storage."""
_BATCH_FILES, _BATCH_BYTES = 100, 5_000_000_000
_COMMIT_FILES = 500
"""Files in one commit: the hub takes minutes for thousands, and gives up at some."""
_WAITS = (1, 4, 15, 60)
"""Seconds before the next attempts. The library tries most requests six times itself."""
_LONGEST_WAIT = 900

Say = Callable[[str], None]


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
    """Shards of an earlier state of the dataset."""
    bytes: int
    """Size of what was uploaded."""


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    sha256: str | None
    """As the run wrote it down; None for what is not in `SHA256SUMS`."""


def push(
    job: Job,
    repo: str,
    private: bool = False,
    dry_run: bool = False,
    force: bool = False,
    say: Say = print,
) -> Pushed:
    """Makes the dataset repository `user/name` equal to the run's output, and tags it.

    `dry_run` only compares and says what would be done. `force` goes on where `verify` finds errors, the
    licence forbids sharing, or the repository holds another dataset. The token is the one of `hf auth login`
    or HF_TOKEN. Raises `UserError` for what the user can mend; the same call goes on after a cut.
    """
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError as error:
        raise UserError("push needs huggingface_hub: pip install 'gritmill[hub]'") from error
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise UserError(f"{repo!r} is no name of a repository; write --repo user/name")
    if not dry_run and not get_token():
        raise UserError("there is no token for the hub; log in with `hf auth login`, or set HF_TOKEN")
    output = Store(job.output.dir)
    files = _files(output, job)
    _check_licence(output, private, force, say)
    _check_shards(output, files, force, say)
    upload = _Upload(HfApi(), repo, output, files, job.name, private, dry_run, force, say)
    for wait in (*_WAITS, None):
        try:
            return upload.attempt()
        except UserError:
            raise
        except Exception as error:  # the library lets through those of its HTTP client, whichever that is
            trouble = _trouble(error, repo)
            if trouble is None:
                raise
            if wait is None or not trouble.passes:
                raise UserError(_without_token(trouble.sentence)) from error
            wait = min(max(wait, trouble.wait), _LONGEST_WAIT)
            say(_without_token(f"{trouble.sentence} (trying again in {wait} s)"))
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _files(output: Store, job: Job) -> list[_File]:
    """All files to be in the repository. Raises `UserError` if the dataset is not finished."""
    if not output.exists(SUMS):
        raise UserError(
            f"{output.root} holds no finished dataset; `pipeline run` makes it, or goes on with it"
        )
    if output.read(RECORDED) != record(job.data, work=False):
        raise UserError(
            f"{output.root} was made by another state of the recipe; run it again, or push the folder itself"
        )
    sums = parse_sums(output.read(SUMS))
    files = []
    for path, digest in sums.items():
        size = output.size(path)
        if size is None:
            raise UserError(f"{output.root} lacks {path}, which {SUMS} lists; run the recipe again")
        files.append(_File(path, size, digest))
    there = set(output.names())
    beside = [_File(path, output.size(path) or 0, None) for path in BESIDE if path in there]
    # First what tells whose the repository is, last what tells that it is complete.
    return [*beside[:1], *files, *beside[1:]]


def _check_licence(output: Store, private: bool, force: bool, say: Say) -> None:
    """Refuses to publish what a licence lets nobody publish, which is what the card says of it."""
    if not output.exists(CARD):
        say(f"warning: {output.root} has no card ({CARD}), so that nobody will know what this is")
        return
    licences = licences_in(output.read(CARD).decode("utf-8", "replace"))
    if not licences or set(licences) & {"unknown", "other"}:
        say(f"warning: {CARD} names no known licence; make sure that the captions and images may be shared")
    forbidding = [name for name in licences if _NO_DERIVATIVES(name)]
    if forbidding and not private:
        problem = f"the licence {forbidding[0]} forbids sharing what is derived from a work, as this is"
        if not force:
            raise UserError(f"{problem}; push with --private, or with --force if you hold the rights")
        say(f"warning: {problem}")


_NO_DERIVATIVES = re.compile(r"(^|.*-)nd(-.*|$)", re.IGNORECASE).match


def licences_in(card: str) -> list[str]:
    """The licences in a card's front matter, as the hub calls them; none if it has none.

    >>> licences_in("---\\nlicense: cc-by-4.0\\n---\\n# Boxes")
    ['cc-by-4.0']
    """
    front = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", card, re.DOTALL)
    try:
        fields = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return []
    found = fields.get("license") if isinstance(fields, dict) else None
    return [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]


def _check_shards(output: Store, files: Sequence[_File], force: bool, say: Say) -> None:
    if not any(file.path.endswith(".tar") for file in files):
        return  # the bytes of other formats are compared with their checksum as they are uploaded
    report = verify([output.root])
    if report.ok:
        return
    problem = f"`pipeline verify {output.root}` finds {report.errors:,} errors"
    if not force:
        raise UserError(f"{problem}; mend them, or push with --force")
    say(f"warning: {problem}")


@dataclass
class _Upload:
    """One push; `attempt` may be called until it returns."""

    api: Any
    repo: str
    output: Store
    files: Sequence[_File]
    name: str
    private: bool
    dry_run: bool
    force: bool
    say: Say
    planned: tuple[tuple[_File, ...], tuple[str, ...]] | None = None
    """What the first attempt found to upload and to delete."""

    def attempt(self) -> Pushed:
        """Compares, uploads, commits and tags. What an earlier attempt has done is found done."""
        tag = f"run-{hashlib.sha256(self.output.read(SUMS)).hexdigest()[:12]}"
        head = self._head()
        there = self._tree(head) if head else {}
        changed = tuple(file for file in self.files if not self._is_same(file, there.get(file.path)))
        stale = self._stale(there, head)
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
            if self.dry_run and _status(error) == 404:
                return None
            raise
        if self.private and not info.private:
            raise UserError(f"{self.repo} is there already and public; make it private in its settings first")
        return str(info.sha)

    def _tree(self, head: str) -> dict[str, Any]:
        entries = self.api.list_repo_tree(self.repo, repo_type="dataset", revision=head, recursive=True)
        return {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}

    def _is_same(self, file: _File, there: Any) -> bool:
        if there is None or there.size != file.size:
            return False
        if there.lfs:
            known = file.sha256 or hashlib.sha256(self.output.read(file.path)).hexdigest()
            return bool(there.lfs.sha256 == known)
        data = self.output.read(file.path)
        # git's own name for a file's content
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return bool(there.blob_id == blob)

    def _stale(self, there: dict[str, Any], head: str | None) -> tuple[str, ...]:
        """Shards that an earlier push of this recipe left. Whatever else is in the repository stays."""
        owner = self._owner(there, head)
        is_empty = set(there) <= _FRESH
        if owner != self.name and not is_empty and not self.force:
            what = (
                "what is no dataset of ours" if owner is None else f"the dataset of another recipe, {owner!r}"
            )
            raise UserError(f"{self.repo} holds {what}; choose another --repo, or write over it with --force")
        if owner is None:
            return ()
        wanted = {file.path for file in self.files}
        return tuple(sorted(path for path in there if path not in wanted and is_shard(path)))

    def _owner(self, there: dict[str, Any], head: str | None) -> str | None:
        """The recipe whose dataset the repository holds; None if it holds none of ours."""
        if STATS not in there:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = self.api.hf_hub_download(
                self.repo, STATS, repo_type="dataset", revision=head, local_dir=folder
            )
            try:
                stats = json.loads(Path(path).read_bytes())
            except ValueError:
                return None
        return str(stats["name"]) if isinstance(stats, dict) and "funnel" in stats else None

    def _say_plan(self, changed: Sequence[_File], stale: Sequence[str]) -> None:
        if self.dry_run:
            for file in changed:
                self.say(f"would upload {file.path} ({_size(file.size)})")
            for path in stale:
                self.say(f"would delete {path}")
        same = len(self.files) - len(changed)
        self.say(
            f"{self.repo}: {len(changed):,} files ({_size(sum(f.size for f in changed))}) to upload, "
            f"{same:,} there already, {len(stale):,} to delete"
        )

    def _preupload(self, changed: Sequence[_File]) -> list[Any]:
        """Sends the content of what goes to the file storage; gives all additions, ready to commit."""
        additions: list[Any] = []
        sent = 0
        for batch in batches(changed):
            with tempfile.TemporaryDirectory() as folder:
                new = [self._addition(file, folder) for file in batch]
                self.api.preupload_lfs_files(self.repo, additions=new, repo_type="dataset")
            additions += new
            sent += sum(file.size for file in batch)
            self.say(f"{len(additions):,} of {len(changed):,} files uploaded, {_size(sent)}")
        return additions

    def _addition(self, file: _File, folder: str) -> Any:
        from huggingface_hub import CommitOperationAdd

        content: str | bytes
        if file.size <= _IN_MEMORY:
            content = self.output.read(file.path)
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
        commits = range(0, len(operations), _COMMIT_FILES)
        for number, start in enumerate(commits, 1):
            part = f" ({number} of {len(commits)})" if len(commits) > 1 else ""
            done = self.api.create_commit(
                self.repo,
                operations[start : start + _COMMIT_FILES],
                commit_message=f"{self.name}{part}",
                repo_type="dataset",
                parent_commit=head,
            )
            head = str(done.oid)
        return head


def is_shard(path: str) -> bool:
    """True for the path of a file that a run writes: `data/train-00000-of-00042.tar`, `coco/test.json`."""
    return any(
        re.fullmatch(
            re.escape(form.path("SPLIT", 0, 1))
            .replace("SPLIT", "(train|validation|test)")
            .replace("00000", r"\d{5}")
            .replace("00001", r"\d{5}"),
            path,
        )
        for form in FORMATS.values()
    )


def batches(files: Iterable[_File]) -> Iterator[list[_File]]:
    """Cuts where a batch would have too many files or bytes; a file of more stands alone."""
    batch: list[_File] = []
    for file in files:
        size = sum(other.size for other in batch) + file.size
        if batch and (len(batch) == _BATCH_FILES or size > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


@dataclass(frozen=True)
class _Trouble:
    sentence: str
    passes: bool
    """Whether trying again may help."""
    wait: int = 0
    """Seconds that the hub asks for."""


def _trouble(error: BaseException, repo: str) -> _Trouble | None:
    """What an exception of the library means to the user; None if it is none of the hub's."""
    from huggingface_hub.errors import HfHubHTTPError

    response = next((c.response for c in _causes(error) if isinstance(c, HfHubHTTPError)), None)
    if response is not None:
        message = response.headers.get("x-error-message") or getattr(error, "server_message", "")
        return _refusal(response.status_code, repo, _one_line(message or ""), _asked_wait(response.headers))
    # The HTTP client's own base class: which client it is differs between versions of the library.
    of_network = (HfHubHTTPError.__bases__[0], ConnectionError)
    if lost := next((cause for cause in _causes(error) if isinstance(cause, of_network)), None):
        # Xet, the hub's newer file storage, has a client of its own, which says all with a ConnectionError.
        xet = re.search(r"HTTP status \w+ error \((\d{3}).*/xet-\w+-token/", str(lost))
        if xet and xet[1] == "404":
            return _Trouble("this hub has no Xet storage; set HF_HUB_DISABLE_XET=1 and push again", False)
        if xet:
            return _refusal(int(xet[1]), repo, "", 0)
        return _Trouble(
            f"the hub cannot be reached ({_one_line(lost)}); push again, what is uploaded is kept", True
        )
    if isinstance(error, ValueError) and str(error).startswith(("Invalid metadata", "LFS batch API")):
        return _Trouble(f"the hub refuses what is pushed: {_one_line(error)}", False)
    return None


def _refusal(status: int, repo: str, message: str, wait: int) -> _Trouble:
    """What an answer other than yes means; `message` is what the hub says itself."""
    said = f" ({message})" if message else ""
    if status == 401:
        return _Trouble(
            f"the hub does not accept the token{said}; `hf auth login`, or set HF_TOKEN anew", False
        )
    if status == 403:
        return _Trouble(
            f"the token may not write to {repo}{said}; use one that may, or another --repo", False
        )
    if status == 404:
        return _Trouble(
            f"the hub does not find {repo}{said}; check its name and what the token may see", False
        )
    if status in (409, 412):
        return _Trouble(f"somebody else is writing to {repo}{said}; push again when that has ended", True)
    if status == 429:
        text = f"the hub has had too many requests{said}; push again later, what is uploaded is kept"
        return _Trouble(text, True, wait)
    if status >= 500:
        text = f"the hub has a problem of its own, {status}{said}; push again later, what is uploaded is kept"
        return _Trouble(text, True, wait)
    return _Trouble(f"the hub refuses what is pushed, {status}{said}", False)


def _asked_wait(headers: Any) -> int:
    """`Retry-After: 30`, or the hub's own `ratelimit: "api";r=0;t=55`; in seconds, 0 if neither is there."""
    after = str(headers.get("retry-after", ""))
    reset = re.search(r"\br=0\b.*\bt=(\d+)", str(headers.get("ratelimit", "")))
    return int(after) if after.isdecimal() else int(reset[1]) if reset else 0


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _without_token(text: str) -> str:
    """A server that repeats what it was sent must not bring the token into a log."""
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "***") if token else text


def _size(count: int) -> str:
    """1234567 -> `1.2 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"

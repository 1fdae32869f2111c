"""Shards wherever they lie: paths and fsspec URLs, whole or by ranges."""

import hashlib
import logging
import os
import posixpath
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gritmill.schemas.errors import UserError

log = logging.getLogger(__name__)

MAX_OPEN = 128
"""Files that one process keeps open."""
_READ_AHEAD = 8 * 2**20
"""Bytes of one request, where a remote file is read from start to end."""
_ETAGS = ("ETag", "etag", "blob_id", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "mtime", "created")


class File(NamedTuple):
    """A file that is there.

    >>> File("out/data/train-00000-of-00008.tar", 301445120, "301445120-1763725823000000000")
    """

    url: str
    size: int
    version: str
    """Changes with the content: an etag or digest where the filesystem has one, else size and time."""


def stat(url: str) -> File:
    """Raises `UserError` if there is no such file, or it cannot be reached."""
    with _reaching(url) as (fs, path):
        if _is_local(fs):
            found = Path(path).stat()
            return File(url, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")
        fs.invalidate_cache(path)
        return _remote(url, fs.info(path))


def names(folder: str) -> list[str]:
    """Names of the files in a folder, sorted; none if there is no such folder."""
    with _reaching(folder) as (fs, path):
        fs.invalidate_cache(path)
        try:
            found = fs.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(posixpath.basename(entry["name"]) for entry in found if entry["type"] != "directory")


def join(folder: str, *names: str) -> str:
    return posixpath.join(folder, *names)


def open_to_read_on(url: str) -> BinaryIO:
    """A seekable file that will mostly be read forwards."""
    with _reaching(url) as (fs, path):
        if _is_local(fs):
            return Path(path).open("rb")
        file = fs.open(path, "rb", block_size=_READ_AHEAD, cache_type="readahead")
        return cast(BinaryIO, file)


def read(url: str) -> bytes | None:
    """The whole file; None if it cannot be had."""
    try:
        fs, path = _filesystem(url)
        return bytes(fs.cat_file(path))
    except Exception as error:  # each filesystem has exceptions of its own
        log.debug("%s is not read: %s", url, error)
        return None


def write_if_allowed(url: str, data: bytes) -> None:
    """Puts a file in its place whole, or, where nothing may be written, not at all."""
    try:
        fs, path = _filesystem(url)
        if _is_local(fs):
            _replace(Path(path), data)
        else:
            fs.pipe_file(path, data)
    except Exception as error:  # each filesystem has exceptions of its own
        log.info("%s cannot be kept: %s", url, error)


def _replace(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{secrets.token_hex(4)}-{target.name}")
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def checksums(urls: Iterable[str]) -> dict[str, str]:
    """Path below its dataset's folder -> SHA-256, as a `SHA256SUMS` there or beside the file says.

    Files of which none says anything are left out.

    >>> checksums(["out/data/train-00000-of-00008.tar"])
    {'data/train-00000-of-00008.tar': '5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'}
    """
    sums: dict[str, dict[str, str]] = {}
    found: dict[str, str] = {}
    for url in urls:
        folder, name = posixpath.split(url)
        above, base = posixpath.split(folder)
        for root, path in ((above, f"{base}/{name}"), (folder, name)):
            if root not in sums:
                sums[root] = _parsed_sums(read(join(root, "SHA256SUMS")) or b"")
            if path in sums[root]:
                found[path] = sums[root][path]
                break
    return found


class Ranges:
    """Reads ranges of a list of files. Goes to other processes, forked or not, with nothing open."""

    def __init__(self, urls: Iterable[str]) -> None:
        self.urls = list(urls)
        self._open: dict[int, int] = {}

    def read(self, number: int, offset: int, size: int) -> bytes:
        """`size` bytes of a file. Raises `OSError` if they cannot be had or the file ends before."""
        url = self.urls[number]
        descriptor = self._open.get(number)
        if descriptor is None:
            fs, path = _filesystem(url)
            if not _is_local(fs):
                return _whole(_fetched(fs, path, offset, size), size, url)
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            if len(self._open) >= MAX_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[number] = descriptor
        # Has no position in the file that forked processes could share.
        return _whole(os.pread(descriptor, size, offset), size, url)

    def __getstate__(self) -> dict[str, Any]:
        return {"urls": self.urls, "_open": {}}

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # modules may be gone by then
        for descriptor in self.__dict__.get("_open", {}).values():
            close(descriptor)


def digest(text: str) -> bytes:
    """32 bytes that follow from a text, on every machine: seeds."""
    return hashlib.sha256(text.encode()).digest()


def _whole(data: bytes, size: int, url: str) -> bytes:
    if len(data) != size:
        raise OSError(f"{url} ends early")
    return data


def _fetched(fs: Any, path: str, offset: int, size: int) -> bytes:
    try:
        return bytes(fs.cat_file(path, start=offset, end=offset + size))
    except OSError:
        raise
    except Exception as error:  # each filesystem has exceptions of its own
        raise OSError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _parsed_sums(content: bytes) -> dict[str, str]:
    lines = (line.partition(" ") for line in content.decode("utf-8", "replace").splitlines())
    return {path[1:].removeprefix("./"): sha.lower() for sha, _, path in lines if len(sha) == 64}


def _remote(url: str, info: Mapping[str, Any]) -> File:
    size = int(info.get("size") or 0)
    tag = next((str(info[name]).strip('"') for name in _ETAGS if info.get(name)), None)
    time = next((info[name] for name in _TIMES if info.get(name)), "")
    return File(url, size, tag or f"{size}-{time}")


def _is_local(fs: Any) -> bool:
    return isinstance(fs, LocalFileSystem)


def _filesystem(url: str) -> tuple[Any, str]:
    # Asked for anew each time: after a fork, fsspec gives the child filesystems of its own.
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{url} cannot be read: {error}. Install the package, or give another URL."
        ) from error
    return fs, path


@contextmanager
def _reaching(url: str) -> Iterator[tuple[Any, str]]:
    """Whatever goes wrong is the user's to mend; each filesystem has exceptions of its own."""
    fs, path = _filesystem(url)
    try:
        yield fs, path
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{url} cannot be reached: {type(error).__name__}: {error}. Check the address and your access."
        ) from error

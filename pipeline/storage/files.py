"""The user's files, by path or URL: find them, tell whether they changed, read all or a piece.

A path is used exactly as it was given, relative ones included; what holds `://` goes through
fsspec (`s3://`, `gs://`, `hf://`, `https://`, ...).
"""

import glob
import io
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, NamedTuple, cast

import fsspec

from gritmill.schemas.errors import UserError

READ_AHEAD = 8 * 2**20
"""Bytes that are asked for at once of a remote file, which is mostly read forwards."""
MAX_BRACES = 1_000_000
"""Most names that one pattern with braces may stand for."""

_EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "gs": "gcsfs", "gcs": "gcsfs"}
_ABSENT = (FileNotFoundError, NotADirectoryError)
_BRACES = re.compile(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}")
_HTTP = ("http://", "https://")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


class File(NamedTuple):
    """A file that is there.

    >>> File("data/00000.tar", 301445120, "301445120-1763725823000000000")
    """

    uri: str
    size: int
    version: str
    """Changes with the content: an etag or digest where the filesystem has one, else size and time."""


def is_local(uri: str) -> bool:
    return "://" not in uri


def origin(uri: str) -> str:
    """The server or bucket of a URL; empty for a path.

    >>> origin("s3://bucket/grit.work"), origin("out/grit.work")
    ('s3://bucket', '')
    """
    scheme, separator, rest = uri.rpartition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}" if separator else ""


def open_binary(uri: str) -> BinaryIO:
    """A seekable file. Raises `OSError` if it cannot be had."""
    if is_local(uri):
        return Path(uri).open("rb")
    fs, path = _filesystem(uri)
    with _fetching(uri):
        # fsspec's own files lack part of the interface, such as a limit on the length of a line.
        file = fs.open(path, "rb", block_size=READ_AHEAD, cache_type="readahead")
        return io.BufferedReader(file, 2**16)


def read(uri: str, limit: int) -> bytes:
    """The whole file. Raises `OSError` if it cannot be had or is larger than `limit` bytes."""
    with _fetching(uri), open_binary(uri) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"{uri} is larger than {limit} bytes")
    return data


def read_range(uri: str, offset: int, length: int) -> bytes:
    """At most `length` bytes from `offset`, fewer only where the file ends. Raises `OSError`."""
    if is_local(uri):
        with Path(uri).open("rb") as file:
            file.seek(offset)
            return file.read(length)
    fs, path = _filesystem(uri)
    with _fetching(uri):
        return cast(bytes, fs.cat_file(path, start=offset, end=offset + length))


def read_many(uris: Sequence[str]) -> list[bytes | OSError]:
    """The content of many small files, fetched at the same time where that helps; an error for
    each that cannot be had."""
    if not uris or is_local(uris[0]):
        return [_read_or_error(uri) for uri in uris]
    fs, _ = _filesystem(uris[0])
    paths = [fs._strip_protocol(uri) for uri in uris]
    found = fs.cat(paths, on_error="return", recursive=False)
    if not isinstance(found, dict):  # fsspec answers a single path with its content alone
        found = {paths[0]: found}
    contents = (found.get(path, FileNotFoundError(path)) for path in paths)
    return [c if isinstance(c, bytes) else OSError(f"cannot be read: {c}") for c in contents]


def stat(uri: str) -> File | None:
    """The file of that name, or None."""
    if is_local(uri):
        with suppress(OSError):
            return _local(uri)
        return None
    with suppress(*_ABSENT), _reaching(uri) as (fs, path):
        fs.invalidate_cache(path)
        info = fs.info(path)
        return _remote(uri, info) if info["type"] == "file" else None
    return None


def exists(uri: str) -> bool:
    """True if there is a file or folder of that name."""
    if is_local(uri):
        return Path(uri).exists()
    with _reaching(uri) as (fs, path):
        fs.invalidate_cache(path)
        return bool(fs.exists(path))


def stat_all(folder: str, names: Sequence[str | None]) -> list[File | None]:
    """The files of these names, relative to the folder; None for those that are not there.

    A remote folder is listed once, which takes one request for a thousand names.
    """
    if is_local(folder):
        return [None if name is None else stat(posixpath.join(folder, name)) for name in names]
    files = walk(folder)
    return [None if name is None else files.get(name) for name in names]


def find(pattern: str) -> list[File]:
    """The files that a path, URL or glob stands for, sorted by name; none if nothing is there."""
    if not _is_glob(pattern) or is_local(pattern):
        file = stat(pattern)
        if file or not _is_glob(pattern):
            return [file] if file else []
    if is_local(pattern):
        # Path.glob would spell the names anew, and has no pattern for an absolute path.
        paths = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        return [file for file in map(stat, paths) if file]
    with suppress(*_ABSENT), _reaching(pattern) as (fs, path):
        fs.invalidate_cache()
        found = fs.glob(path, detail=True)
        files = [_remote(fs.unstrip_protocol(p), i) for p, i in found.items() if i["type"] == "file"]
        return sorted(files)
    return []


def find_all(patterns: Sequence[str]) -> tuple[list[File], list[str]]:
    """The files of several patterns, `{000..012}` spelled out, and the names that nothing matched.

    In the order given and sorted within a glob; a file that two patterns match comes once.
    """
    files: dict[str, File] = {}
    missing: list[str] = []
    folders: dict[str, dict[str, File]] = {}
    for pattern in patterns:
        names = expand_braces(pattern)
        for name in names:
            if len(names) > 1 and not _is_glob(name) and not is_local(name) and not name.startswith(_HTTP):
                folder, base = posixpath.split(name)
                if folder not in folders:  # one listing instead of a request for each name
                    folders[folder] = children(folder)
                found = [folders[folder][base]] if base in folders[folder] else []
            else:
                found = find(name)
            files.update((file.uri, file) for file in found)
            if not found:
                missing.append(name)
    return list(files.values()), missing


def children(folder: str) -> dict[str, File]:
    """The files right in a folder by name, sorted; empty if there is no such folder, and on the web,
    which has no folders."""
    if folder.startswith(_HTTP):
        return {}
    if is_local(folder):
        if not Path(folder or ".").is_dir():
            return {}
        with os.scandir(folder or ".") as entries:
            names = sorted(entry.name for entry in entries)
        found = {name: stat(posixpath.join(folder, name)) for name in names}
        return {name: file for name, file in found.items() if file}
    with suppress(*_ABSENT), _reaching(folder) as (fs, path):
        fs.invalidate_cache()
        infos = [info for info in fs.ls(path, detail=True) if info["type"] == "file"]
        named = _by_name((posixpath.basename(info["name"]), info) for info in infos)
        return {name: _remote(posixpath.join(folder, name), info) for name, info in named}
    return {}


def walk(folder: str) -> dict[str, File]:
    """All files in and below a folder by their name relative to it, sorted."""
    if is_local(folder):
        found = {}
        for where, _, names in os.walk(folder or "."):
            relative = os.path.relpath(where, folder or ".")
            for name in names:
                key = name if relative == "." else f"{relative}/{name}"
                file = stat(posixpath.join(folder, key))
                if file:
                    found[key] = file
        return dict(sorted(found.items()))
    with suppress(*_ABSENT), _reaching(folder) as (fs, path):
        fs.invalidate_cache()
        start = len(path.rstrip("/")) + 1
        named = _by_name((p[start:], info) for p, info in fs.find(path, detail=True).items())
        return {name: _remote(posixpath.join(folder, name), info) for name, info in named}
    return {}


def inside(folder: str, name: str) -> str | None:
    """A name that data gave us, relative to the folder, if it lies in it; else None.

    An absolute name or a URL must begin with the folder. A name with `..`, a NUL or what is not
    Unicode is never accepted.

    >>> inside("photos", "a/1.jpg"), inside("photos", "../1.jpg"), inside("/data", "/data/1.jpg")
    ('a/1.jpg', None, '1.jpg')
    """
    if "://" in name or name.startswith("/"):
        base = folder.rstrip("/") + "/"
        if not folder or not name.startswith(base):
            return None
        name = name[len(base) :]
    steps = [step for step in name.split("/") if step != "."]
    if not any(steps) or ".." in steps or "://" in name or name.startswith("/") or not is_clean(name):
        return None
    return "/".join(steps)


def is_clean(text: str) -> bool:
    """True for Unicode that any file may hold: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def expand_braces(pattern: str) -> list[str]:
    """`"{000..002}.tar"` -> `["000.tar", "001.tar", "002.tar"]`; `{a,b}` likewise, several of them too."""
    match = _BRACES.search(pattern)
    if not match:
        return [pattern]
    span = _RANGE.fullmatch(match[1])
    if span:
        first, last = int(span[1]), int(span[2])
        if abs(last - first) >= MAX_BRACES:
            raise UserError(f"{pattern} stands for more than {MAX_BRACES} files. Name fewer.")
        step = 1 if first <= last else -1
        width = max(len(span[1]), len(span[2])) if "0" in (span[1][0], span[2][0]) else 0
        choices = [f"{n:0{width}d}" for n in range(first, last + step, step)]
    else:
        choices = match[1].split(",")
    tails = expand_braces(pattern[match.end() :])
    if len(choices) * len(tails) > MAX_BRACES:
        raise UserError(f"{pattern} stands for more than {MAX_BRACES} files. Name fewer.")
    return [pattern[: match.start()] + choice + tail for choice in choices for tail in tails]


def _by_name(items: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(items, key=lambda item: item[0])


def _is_glob(pattern: str) -> bool:
    if pattern.startswith(_HTTP):  # where `?` begins a query
        return "*" in pattern
    return glob.has_magic(pattern)


def _local(path: str) -> File:
    """Raises `OSError` for what is no regular file: reading a pipe would wait for ever."""
    found = Path(path).stat()
    if not S_ISREG(found.st_mode):
        raise OSError(f"{path} is no regular file")
    return File(path, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _remote(uri: str, info: Mapping[str, Any]) -> File:
    size = int(info.get("size") or 0)
    for name in ("ETag", "etag", "blob_id", "md5Hash", "content_md5"):
        if info.get(name):
            return File(uri, size, str(info[name]).strip('"'))
    time = next((info[n] for n in ("LastModified", "last_modified", "mtime", "created") if info.get(n)), "")
    return File(uri, size, f"{size}-{time}")


def _read_or_error(uri: str) -> bytes | OSError:
    try:
        return Path(uri).read_bytes()
    except OSError as error:
        return error


def _filesystem(uri: str) -> tuple[Any, str]:
    """The filesystem that a URL names, and the path on it."""
    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        protocol = uri.partition("://")[0]
        package = _EXTRAS.get(protocol)
        fix = f"pip install {package}" if package else str(error)
        raise UserError(f"{uri} cannot be read without a package that is not installed. {fix}") from error
    except ValueError as error:
        raise UserError(f"{uri} is no URL that fsspec knows: {error}. Give a path or another URL.") from error
    return fs, path


@contextmanager
def _fetching(uri: str) -> Iterator[None]:
    """Makes an `OSError` of whatever a remote filesystem raises; each has exceptions of its own."""
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise OSError(f"{uri} cannot be read: {type(error).__name__}: {error}") from error


@contextmanager
def _reaching(uri: str) -> Iterator[tuple[Any, str]]:
    """The filesystem and path of a URL, for a look at what is there.

    Whatever goes wrong but absence (no permission, no network) is the user's to mend; each
    filesystem has exceptions of its own for it.
    """
    fs, path = _filesystem(uri)
    try:
        yield fs, path
    except _ABSENT:
        raise
    except Exception as error:
        raise UserError(
            f"{uri} cannot be listed: {type(error).__name__}: {error}. "
            "Check the address, the network and the credentials."
        ) from error

"""Which shards and other files there are, which should be there, and what `SHA256SUMS` says of them."""

import contextlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gritmill.pipeline.storage.checksums import read_sums
from gritmill.schemas.errors import UserError

_TAR_NAME = re.compile(r"\.(tar|tgz|tar\.(gz|bz2|xz))$")
_SERIES_NAME = re.compile(r"(.*)-(\d{5,})-of-(\d{5,})(\..*)")


def find_shards(urls: Iterable[str]) -> list[str]:
    """Paths, globs, folders (with all tars below them) and fsspec URLs -> the shards, each once.

    Raises `UserError` where a folder or glob has none; a folder whose `SHA256SUMS` lists other files may.
    """
    shards: dict[str, None] = {}
    for url in urls:
        fs, path = fsspec.core.url_to_fs(url)
        if re.search(r"[*?\[]", path) and not fs.exists(path):
            found = [p for p in sorted(fs.glob(path)) if _is_visible(p) and not fs.isdir(p)]
        elif _TAR_NAME.search(path) and not fs.isdir(path):
            found = [path]
        else:
            found = sorted(p for p in fs.find(path) if _is_visible(p) and _TAR_NAME.search(p))
        if not found and not listed_files(url):
            raise UserError(f"{url} has no shards; give a .tar file, a folder or a glob of them.")
        shards |= dict.fromkeys(_url(fs, p) for p in found)
    return list(shards)


def listed_files(url: str) -> dict[str, str]:
    """{path or URL: SHA-256} of all that the `SHA256SUMS` in a folder lists; nothing for anything else."""
    fs, path = fsspec.core.url_to_fs(url)
    return {_url(fs, posixpath.join(path, name)): sha256 for name, sha256 in (read_sums(url) or {}).items()}


def exists(url: str) -> bool:
    fs, path = fsspec.core.url_to_fs(url)
    return bool(fs.exists(path))


def is_shard(url: str) -> bool:
    """True for the name of a tar."""
    return _TAR_NAME.search(url) is not None


def _url(fs: Any, path: str) -> str:
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))


def _is_visible(path: str) -> bool:
    """Not the unfinished file of a run that goes on, or was killed."""
    return not posixpath.basename(path).startswith(".")


def missing_shards(shards: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(kind, shard, message) for what lacks among the siblings of `train-00000-of-00042.tar`."""
    folders: dict[str, tuple[Any, dict[str, str]]] = {}
    for shard in shards:
        fs, path = fsspec.core.url_to_fs(shard)
        folder, name = posixpath.split(path)
        folders.setdefault(folder, (fs, {}))[1][name] = shard
    for folder, (fs, given) in folders.items():
        names = set(given)
        # Not every filesystem can list (http); then the shards that were given are all we know.
        with contextlib.suppress(OSError, NotImplementedError):
            names |= {posixpath.basename(p) for p in fs.ls(folder, detail=False)}
        numbers: dict[tuple[str, str], dict[str, set[int]]] = {}
        for name in sorted(names):
            if match := _SERIES_NAME.fullmatch(name):
                prefix, number, total, suffix = match.groups()
                numbers.setdefault((prefix, suffix), {}).setdefault(total, set()).add(int(number))
        asked = {m.group(1, 4): shard for n, shard in given.items() if (m := _SERIES_NAME.fullmatch(n))}
        for (prefix, suffix), shard in asked.items():
            totals = numbers[prefix, suffix]
            if len(totals) > 1:
                yield "mixed_series", shard, f"{prefix}: of {' and of '.join(sorted(totals))}"
            for total, found in totals.items():
                width = len(total)
                lacking = [i for i in range(min(int(total), 1_000_000)) if i not in found]
                if lacking:
                    first = f"{prefix}-{lacking[0]:0{width}d}-of-{total}{suffix}"
                    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
                    yield "missing_shard", posixpath.join(posixpath.dirname(shard), first), f"not there{more}"

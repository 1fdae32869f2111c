"""A folder of files that exist only when they are whole, on any filesystem that fsspec knows."""

import contextlib
import errno
import os
import posixpath
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from gritmill.pipeline.storage import whole
from gritmill.pipeline.storage.whole import TEMPORARY
from gritmill.schemas.errors import UserError

T = TypeVar("T")

_REQUESTS = 32
_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.ENOTDIR: "choose another folder: a file is in its place",
    errno.EEXIST: "choose another folder: a file is in its place",
}


class Store:
    """Reads and atomically writes files under one root, a path or a URL such as `s3://bucket/work`.

    Names are relative, with `/`. A local file is written under a temporary name, synced and renamed;
    elsewhere it is uploaded as one object. Either way it is there whole or not at all.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.fs, self.path = fsspec.core.url_to_fs(root)
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def each(self, function: Callable[[str], T], names: Iterable[str]) -> Iterator[T]:
        """Calls a function that reads a file for each of many, in order.

        Where an answer takes long, many are under way at a time, and never more than that in memory.
        """
        if self.is_local:
            yield from map(function, names)
            return
        with ThreadPoolExecutor(_REQUESTS) as pool:
            under_way: deque[Future[T]] = deque()
            for name in names:
                under_way.append(pool.submit(function, name))
                if len(under_way) == _REQUESTS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.root,)

    def full(self, name: str) -> str:
        """The path of a name, as this filesystem knows it."""
        return posixpath.join(self.path, name) if name else self.path

    def url(self, name: str) -> str:
        """The path of a name as the user would write it."""
        return posixpath.join(self.root, name)

    def exists(self, name: str) -> bool:
        return bool(self.fs.exists(self.full(name)))

    def is_empty(self) -> bool:
        """True if there is nothing under the root, or no root."""
        try:
            return not self.fs.ls(self.path, detail=False)
        except FileNotFoundError:
            return True

    def size(self, name: str) -> int | None:
        """Bytes of a file, or None if there is none."""
        try:
            return int(self.fs.size(self.full(name)))
        except FileNotFoundError:
            return None

    def names(self, folder: str = "") -> list[str]:
        """Names of the files in a folder (not below it), sorted; none if there is no such folder.

        Temporary files, which a killed writer leaves behind, are not listed.
        """
        if self.is_local:
            try:
                with os.scandir(self.full(folder)) as entries:
                    found = [entry.name for entry in entries if not entry.is_dir()]
            except FileNotFoundError:
                return []
        else:
            self.fs.invalidate_cache(self.full(folder))
            try:
                entries = self.fs.ls(self.full(folder), detail=True)
            except FileNotFoundError:
                return []
            found = [posixpath.basename(e["name"]) for e in entries if e["type"] == "file"]
        return sorted(name for name in found if name and not name.startswith(TEMPORARY))

    def folders(self) -> list[str]:
        """Names of the folders under the root, sorted."""
        self.fs.invalidate_cache(self.path)
        try:
            entries = self.fs.ls(self.path, detail=True)
        except FileNotFoundError:
            return []
        return sorted(posixpath.basename(e["name"].rstrip("/")) for e in entries if e["type"] == "directory")

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(self.full(name)))

    def open(self, name: str) -> BinaryIO:
        """A seekable file for reading."""
        file: BinaryIO = self.fs.open(self.full(name), "rb")
        return file

    def open_arrow(self, name: str) -> pa.NativeFile:
        """A small file as pyarrow reads it best: natively where it is local, fetched whole elsewhere.

        Never a Python file: pyarrow's threads may still hold one when the interpreter ends.
        """
        return pa.OSFile(self.full(name)) if self.is_local else pa.BufferReader(self.read(name))

    def write(self, name: str, data: bytes) -> None:
        with self.writing(name) as file:
            file.write(data)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file that appears under its name when the block ends well, and never otherwise."""
        place = whole.writing(Path(self.full(name))) if self.is_local else self._remote(name)
        with self._explained(name), place as file:
            yield file

    @contextlib.contextmanager
    def _remote(self, name: str) -> Iterator[BinaryIO]:
        with tempfile.NamedTemporaryFile() as file:
            yield file  # type: ignore[misc]
            file.flush()
            file.seek(0)
            self.fs.put_file(file.name, self.full(name))

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """A full disk or a folder that cannot be written is the user's to mend."""
        try:
            yield
        except OSError as error:
            if error.errno not in _HINTS:
                raise
            raise UserError(
                f"cannot write {self.url(name)}: {error.strerror}. {_HINTS[error.errno].capitalize()} and "
                "run the same command again; what is finished is kept."
            ) from error

    def close_to_others(self) -> None:
        """Lets nobody but its owner into a local folder."""
        if self.is_local:
            with self._explained(""):
                Path(self.path).chmod(0o700)

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.full(name))

    def remove_folder(self, name: str) -> None:
        """Removes a folder and all in it if it is there."""
        if self.is_local:
            shutil.rmtree(self.full(name), ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                self.fs.rm(self.full(name), recursive=True)

    def clean(self, folder: str) -> None:
        """Removes the temporary files that killed writers left in a folder."""
        if not self.is_local:
            return
        with contextlib.suppress(FileNotFoundError):
            for path in Path(self.full(folder)).glob(f"{TEMPORARY}*"):
                path.unlink(missing_ok=True)

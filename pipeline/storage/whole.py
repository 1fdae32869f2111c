"""Local files and folders that are there whole or not at all, whatever is killed or loses its power."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""How the names begin of what is not whole yet, or was left behind by a kill."""


def temporary_name(target: Path) -> Path:
    """Where something is written, beside its place, before it has its name."""
    return target.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{target.name}")


@contextlib.contextmanager
def writing(target: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name, and on the disk, when the block ends well, and never otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def write(target: Path, data: bytes) -> None:
    with writing(target) as file:
        file.write(data)


def put_folder(written: Path, target: Path) -> None:
    """Gives a folder that is written its name, in place of what is there."""
    for path in (written, *written.rglob("*")):
        _sync(path)
    # Out of the way in one step, so that no kill leaves half of it under its name.
    old = target.rename(temporary_name(target)) if target.exists() else None
    written.rename(target)
    _sync(target.parent)
    if old:
        shutil.rmtree(old)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

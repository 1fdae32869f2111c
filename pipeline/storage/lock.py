"""One at a time: a lock on a local file, and on a work directory wherever it is."""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from weakref import WeakSet

from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

NAME = "lock"
BEAT = 20.0
"""Seconds between two signs of life in a lock that is an object, not a file."""


class Held(Exception):
    """Somebody else has the lock; `str()` says who."""


_held: "WeakSet[TextIO]" = WeakSet()


def hold(path: Path) -> TextIO:
    """Locks a local file until what comes back is closed, or its process is killed.

    Raises `Held` if another has it, `OSError` if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with file:
            file.seek(0)
            raise Held(file.read().strip()) from None
    file.truncate(0)
    file.write(_me())
    file.flush()
    _held.add(file)
    return file


def _let_go() -> None:
    for file in _held:
        file.close()


# A forked worker, of a loader say, would keep the lock of a run that was killed.
os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """Holds the work directory, or raises `UserError` if another run does.

    On a local disk the operating system lets go of the lock even if the run is killed. Elsewhere the
    lock is an object that its holder renews; one that was not renewed for three beats is dead.
    """
    with _file_lock(store) if store.is_local else _object_lock(store):
        yield


@contextlib.contextmanager
def _file_lock(store: Store) -> Iterator[None]:
    try:
        file = hold(Path(store.full(NAME)))
    except Held as error:
        raise _busy(store, str(error)) from None
    except OSError as error:
        raise UserError(
            f"cannot write to the work directory {store.root}: {error.strerror}. Choose another with --work."
        ) from error
    with file:
        yield


@contextlib.contextmanager
def _object_lock(store: Store) -> Iterator[None]:
    with contextlib.suppress(FileNotFoundError):
        beat = json.loads(store.read(NAME))
        if time.time() - beat["time"] < 3 * BEAT and beat["holder"] != _me():
            raise _busy(store, beat["holder"])
    stop = threading.Event()

    def beat_once() -> None:
        store.write(NAME, json.dumps({"holder": _me(), "time": time.time()}).encode())

    def keep_beating() -> None:
        while not stop.wait(BEAT):
            beat_once()

    beat_once()
    thread = threading.Thread(target=keep_beating, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        store.remove(NAME)


def _busy(store: Store, holder: str) -> UserError:
    return UserError(
        f"another run ({holder}) is at work in {store.root}. Wait for it, stop it, or choose another "
        "directory with --work."
    )


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"

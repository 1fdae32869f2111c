import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    root = str(tmp_path / "work") if request.param == "local" else f"memory://{tmp_path.name}"
    yield Store(root)
    Store(root).remove_folder("")


def test_what_was_written_is_there(store: Store) -> None:
    assert store.is_empty()
    store.write("a/b.txt", b"one")
    store.write("a/c.txt", b"three")
    assert store.names("a") == ["b.txt", "c.txt"]
    assert store.names("nowhere") == []
    assert store.read("a/b.txt") == b"one"
    assert (store.size("a/c.txt"), store.size("a/d.txt")) == (5, None)
    assert not store.is_empty()
    store.write("a/b.txt", b"two")
    assert store.read("a/b.txt") == b"two"
    store.remove("a/b.txt")
    store.remove("a/b.txt")
    assert store.names("a") == ["c.txt"]


def test_a_file_that_fails_half_way_was_never_there(store: Store) -> None:
    store.write("a.txt", b"old")
    with pytest.raises(RuntimeError), store.writing("a.txt") as file:
        file.write(b"ne")
        raise RuntimeError("in the middle")
    assert store.read("a.txt") == b"old"
    assert store.names() == ["a.txt"]


def test_temporary_files_of_the_killed_are_not_listed_and_can_be_cleaned(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("step/whole.parquet", b"x")
    left = tmp_path / "step" / ".tmp-0123-part.parquet"
    left.write_bytes(b"half")
    assert store.names("step") == ["whole.parquet"]
    store.clean("step")
    assert not left.exists()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free some space and run the same command again"),
        (errno.EROFS, "Choose a folder that can be written to"),
        (errno.EACCES, "Choose a folder that you may write to"),
    ],
)
def test_what_the_user_can_mend_is_a_sentence(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=words):
        Store(str(tmp_path)).write("a.txt", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("I was here first")
    with pytest.raises(UserError, match="a file is in its place"):
        Store(str(tmp_path / "out")).write("a/b.txt", b"x")

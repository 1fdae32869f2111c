import os
from pathlib import Path

import pytest

from gritmill.pipeline.storage import whole


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was brought to the disk."""
    names: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return names


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, synced: list[str]) -> None:
    target = tmp_path / "folder" / "report.json"
    whole.write(target, b"old")
    whole.write(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]
    assert len(synced) == 4
    assert all(name.startswith(whole.TEMPORARY) for name in synced[::2])
    assert synced[1::2] == ["folder", "folder"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), whole.writing(target) as file:
        file.write(b"ne")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_is_on_the_disk_with_all_in_it(is_there: bool, tmp_path: Path, synced: list[str]) -> None:
    written, target = tmp_path / "unfinished", tmp_path / "model"
    (written / "inner").mkdir(parents=True)
    (written / "inner" / "weights").write_bytes(b"1")
    if is_there:
        target.mkdir()
        (target / "old").write_bytes(b"1")
    whole.put_folder(written, target)
    assert (target / "inner" / "weights").read_bytes() == b"1"
    assert list(tmp_path.rglob("*")) == [target, target / "inner", target / "inner" / "weights"]
    assert synced == ["unfinished", "inner", "weights", tmp_path.name]

"""The tar writer against what other programs make of its archives."""

import io
import subprocess
import tarfile

import pytest

from gritmill.pipeline.storage.tar_writer import RECORD, TarWriter, header

MEMBERS = [("a.jpg", b"\xff\xd8" * 700), ("a.json", b"{}"), ("b.jpg", b"x" * 512), ("b.json", b"")]


def write(members):
    file = io.BytesIO()
    tar = TarWriter(file)
    for member in members:
        tar.add(member)
    tar.close()
    return file.getvalue()


def test_header_is_what_tarfile_writes():
    info = tarfile.TarInfo("folder/000000017.jpg")
    info.size = 26_123
    assert header(info.name, info.size) == info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("members", [[], MEMBERS[:1], MEMBERS, [("n" * 100, b"long name")]])
def test_tarfile_reads_it(members):
    archive = write(members)
    assert len(archive) % RECORD == 0
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        contents = [(info.name, tar.extractfile(info)) for info in tar]
        assert [(name, content.read()) for name, content in contents if content] == members
        for info in tar.getmembers():
            assert (info.mode, info.uid, info.gid, info.mtime, info.uname) == (0o644, 0, 0, 0, "")


def test_gnu_tar_reads_it(tmp_path):
    (tmp_path / "x.tar").write_bytes(write(MEMBERS))
    listed = subprocess.run(["tar", "tf", "x.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [name for name, _ in MEMBERS]
    assert listed.stderr == ""


def test_members_in_one_call_are_members_one_by_one():
    file = io.BytesIO()
    tar = TarWriter(file)
    tar.add(*MEMBERS)
    tar.close()
    assert file.getvalue() == write(MEMBERS)


@pytest.mark.parametrize("size", [10 * 1024 - 1537, 10 * 1024 - 1536, 10 * 1024 - 1535])
def test_end_mark_at_the_edge_of_a_record(size):
    archive = write([("a", b"x" * size)])
    assert archive.endswith(bytes(1024))
    assert len(archive) == (RECORD if size <= RECORD - 1536 else 2 * RECORD)


@pytest.mark.parametrize("name", ["", "n" * 101, "é.jpg", "a\0.jpg"])
def test_names_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        header(name, 1)


def test_sizes_that_do_not_fit_are_refused():
    assert tarfile.TarInfo.frombuf(header("a", 8**11 - 1), "ascii", "strict").size == 8**11 - 1
    with pytest.raises(ValueError, match="bytes"):
        header("a", 8**11)

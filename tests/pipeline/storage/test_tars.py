"""Plain headers are read without `tarfile`, and must be read as it does."""

import io
import random
import tarfile

import pytest
from source_files import tar_bytes

from gritmill.pipeline.storage import tars
from gritmill.pipeline.storage.tar_writer import TarWriter
from gritmill.pipeline.storage.tars import BrokenArchive, Member, members

FILES = {"a.jpg": bytes(700), "a.json": b'{"caption": "a dog"}', "b.txt": b"", "c/é.txt": b"x" * 1024}


def ours() -> bytes:
    file = io.BytesIO()
    writer = TarWriter(file)
    writer.add(*((name, data) for name, data in FILES.items() if name.isascii()))
    writer.close()
    return file.getvalue()


def mixed() -> bytes:
    """Files between a folder, a link, a long name and what has a time with a fraction."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, time in [
            ("first.jpg", tarfile.REGTYPE, 0),
            ("folder", tarfile.DIRTYPE, 0),
            ("second.jpg", tarfile.REGTYPE, 0),
            ("link.jpg", tarfile.SYMTYPE, 0),
            ("third.jpg", tarfile.REGTYPE, 1.5),
            ("x" * 150 + ".jpg", tarfile.REGTYPE, 0),
            ("old.jpg", tarfile.AREGTYPE, 0),
            ("last.jpg", tarfile.REGTYPE, 0),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.linkname = kind, time, "/etc/passwd"
            info.size = 5 if info.isreg() else 0
            tar.addfile(info, io.BytesIO(b"12345"))
    return file.getvalue()


ARCHIVES = {
    "ours": ours(),
    "ustar": tar_bytes(FILES, format=tarfile.USTAR_FORMAT),
    "gnu": tar_bytes(FILES, format=tarfile.GNU_FORMAT),
    "pax": tar_bytes(FILES, format=tarfile.PAX_FORMAT),
    "mixed": mixed(),
}


def listed(data: bytes) -> tuple[list[Member], bool]:
    """The members, and whether the archive is whole."""
    found: list[Member] = []
    try:
        for member in members(io.BytesIO(data)):
            found.append(member)
    except BrokenArchive:
        return found, False
    return found, True


@pytest.mark.parametrize("name", ARCHIVES)
def test_members_are_those_of_tarfile(name):
    data = ARCHIVES[name]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [Member(m.name, m.offset_data, m.size) for m in tar if m.isreg()]
    assert listed(data) == (expected, True)
    assert len(expected) > 2


@pytest.mark.parametrize("name", ARCHIVES)
def test_damage_is_seen_as_tarfile_sees_it(name, monkeypatch):
    rng = random.Random(name)
    damaged = [ARCHIVES[name][:cut] for cut in range(0, len(ARCHIVES[name]), 211)]
    for _ in range(300):
        data = bytearray(ARCHIVES[name])
        header = rng.choice([m.offset for m in listed(bytes(data))[0]]) - 512
        data[header + rng.randrange(512)] = rng.choice([0, 32, 48, 55, 56, 128, 255])
        damaged.append(bytes(data))
    fast = [listed(data) for data in damaged]
    monkeypatch.setattr(tars, "_plain_file", lambda file, offset: None)
    assert fast == [listed(data) for data in damaged]
    assert {is_whole for _, is_whole in fast} == {True, False}

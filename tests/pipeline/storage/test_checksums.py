"""SHA-256 of what passes, and SHA256SUMS as coreutils read it."""

import hashlib
import io
import subprocess

from gritmill.pipeline.storage.checksums import HashingFile, format_sums, parse_sums


def test_hash_of_what_is_written_and_read():
    file = io.BytesIO()
    written = HashingFile(file)
    written.write(b"abc")
    written.write(b"def")
    file.seek(0)
    read = HashingFile(file)
    assert read.read(2) + read.read() == b"abcdef"
    for hashed in (written, read):
        assert (hashed.size, hashed.hexdigest()) == (6, hashlib.sha256(b"abcdef").hexdigest())
    assert not file.closed


def test_sha256sum_accepts_our_file_and_we_its(tmp_path):
    (tmp_path / "data").mkdir()
    names = ["data/b.tar", "data/a.tar", "stats.json"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    content = format_sums(sums)
    (tmp_path / "SHA256SUMS").write_bytes(content)
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True)
    theirs = subprocess.run(
        ["sha256sum", "-b", *sorted(f"./{n}" for n in names)], cwd=tmp_path, check=True, capture_output=True
    )
    assert parse_sums(content) == parse_sums(theirs.stdout) == sums


def test_other_lines_are_skipped():
    assert parse_sums(b"# comment\n\n\xff\xfe\nabc  short\n" + b"0" * 64 + b"  kept\n") == {"kept": "0" * 64}

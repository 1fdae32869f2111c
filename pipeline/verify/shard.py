"""Reads one shard from its first byte to its last and checks everything in it."""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from typing import NamedTuple

import fsspec

from pipeline.output.checksums import HashingFile
from pipeline.verify.findings import Findings, MemberSet, ShardReport
from pipeline.verify.sample import IMAGES, TEXTS, SampleCheck

MAX_IMAGE = 256 << 20
MAX_TEXT = 16 << 20
"""Larger members, in bytes, are not read into memory."""
MAX_EXTENDED_HEADER = 1 << 20
MAX_MEMBER_SETS = 64
_CHUNK = 1 << 20

# How webdataset and `datasets` take a member's name apart.
_MEMBER_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)


class Task(NamedTuple):
    shard: str
    sha256: str | None
    """What `SHA256SUMS` says; None if there is no such file, empty if it does not list the shard."""
    limit: int


def check_shard(task: Task) -> ShardReport:
    """Reads one shard to its end and checks everything in it."""
    report = ShardReport(task.shard, Findings(task.limit))

    def add(kind: str, key: str, message: str) -> None:
        report.findings.add(kind, task.shard, key, message)

    try:
        with fsspec.open(task.shard, "rb") as file:
            hashed = HashingFile(file)
            try:
                _check_tar(hashed, report, add)
            except (tarfile.TarError, EOFError, zlib.error, LZMAError) as error:
                add("broken_tar", "", str(error))
            while hashed.read(_CHUNK):
                pass
    except OSError as error:
        add("unreadable", "", str(error) or type(error).__name__)
        return report
    report.bytes = hashed.size
    if task.sha256 == "":
        add("not_in_sums", "", "no line for it")
    elif task.sha256 is not None and task.sha256 != hashed.hexdigest():
        add("checksum", "", f"is {hashed.hexdigest()}, should be {task.sha256}")
    return report


class _StrictTarInfo(tarfile.TarInfo):
    """Makes `tarfile` say what it otherwise takes for the end of the archive: damage and cut-off files."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictTarInfo":
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("the file ends without an end mark") from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if info.size < 0:
            raise tarfile.ReadError("a negative size")
        if info.type in (b"x", b"g", b"L", b"K") and info.size > MAX_EXTENDED_HEADER:
            raise tarfile.ReadError(f"an extended header of {info.size} bytes")
        return info


def _check_tar(file: HashingFile, report: ShardReport, add: Callable[[str, str, str], None]) -> None:
    seen: set[bytes] = set()
    key, extensions, sample = "", dict[str, None](), SampleCheck()

    def finish() -> None:
        if not extensions:
            return
        for problem in sample.finish():
            add(problem.kind, key, problem.message)
        report.samples += 1
        report.images += sample.images
        report.regions += sample.regions
        members = tuple(sorted(extensions))
        if seen_before := report.member_sets.get(members):
            report.member_sets[members] = seen_before._replace(samples=seen_before.samples + 1)
        elif len(report.member_sets) < MAX_MEMBER_SETS:
            report.member_sets[members] = MemberSet(1, report.shard, key)
        else:
            add("member_set", key, f"more than {MAX_MEMBER_SETS} different sets in this shard")

    with tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictTarInfo) as tar:
        for info in _members(tar):
            if info.isdir():
                continue
            if info.name.startswith("/") or ".." in info.name.split("/"):
                add("unsafe_name", "", info.name)
            if not info.isreg():
                add("not_a_file", "", info.name)
                continue
            match = _MEMBER_NAME.fullmatch(info.name)
            if not match:
                add("no_extension", "", info.name)
                continue
            extension = match[2].lower()
            if match[1] != key or not extensions:
                finish()
                report.in_key_order &= key <= match[1]
                key, extensions, sample = match[1], {}, SampleCheck()
                digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
                if digest in seen:
                    add("duplicate_key", key, "came before in this shard")
                seen.add(digest)
            if extension in extensions:
                add("duplicate_member", key, f".{extension}")
                continue
            extensions[extension] = None
            for kind, message in _check_member(tar, info, extension, sample):
                add(kind, key, message)
        finish()
        if not report.samples:
            add("no_samples", "", "nothing in it that a reader would take for a sample")
        if any(chunk.strip(b"\0") for chunk in iter(lambda: tar.fileobj.read(_CHUNK), b"")):
            add("after_end", "", "two tars glued together, perhaps")


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while True:
        try:
            info = tar.next()
        except (ValueError, OverflowError) as error:  # a number in an extended header that is none
            raise tarfile.ReadError(str(error)) from error
        if info is None:
            return
        tar.members = []  # type: ignore[attr-defined]  # or tarfile keeps every header of the shard
        yield info


def _check_member(
    tar: tarfile.TarFile, info: tarfile.TarInfo, extension: str, sample: SampleCheck
) -> Iterator[tuple[str, str]]:
    kind = extension.rpartition(".")[2]
    if kind not in IMAGES and kind not in TEXTS and kind != "json":
        return
    if info.size > (MAX_IMAGE if kind in IMAGES else MAX_TEXT):
        yield "too_large", f".{extension} has {info.size:,} bytes"
        return
    content = tar.extractfile(info)
    yield from sample.member(extension, content.read() if content else b"")

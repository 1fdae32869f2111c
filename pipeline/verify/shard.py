"""Reads one shard, or another file of a dataset, from its first byte to its last and checks it."""

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from typing import NamedTuple

import fsspec

from gritmill.pipeline.storage.checksums import HashingFile
from gritmill.pipeline.storage.samples import IMAGES, TEXTS, split_name
from gritmill.pipeline.storage.tars import StrictTarInfo, headers
from gritmill.pipeline.verify.findings import Findings, MemberSet, ShardReport
from gritmill.pipeline.verify.leakage import split_of
from gritmill.pipeline.verify.sample import Problem, SampleCheck

MAX_IMAGE = 256 << 20
MAX_TEXT = 16 << 20
"""Larger members, in bytes, are not read into memory."""
MAX_MEMBER_SETS = 64
_CHUNK = 1 << 20


class ShardCheck(NamedTuple):
    shard: str
    sha256: str | None
    """What `SHA256SUMS` says; None if there is no such file, empty if it does not list the shard."""
    limit: int
    is_tar: bool = True
    """False for a file of which nothing but the checksum is checked."""


def check_shard(task: ShardCheck) -> ShardReport:
    """Reads one file to its end and checks everything in it."""
    report = ShardReport(task.shard, Findings(task.limit))

    def add(kind: str, key: str, message: str) -> None:
        report.findings.add(kind, task.shard, key, message)

    try:
        with fsspec.open(task.shard, "rb") as file:
            hashed = HashingFile(file)
            try:
                if task.is_tar:
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


def _check_tar(file: HashingFile, report: ShardReport, add: Callable[[str, str, str], None]) -> None:
    # Not by `members`, which knows the regular files alone and seeks: here every byte passes the checksum.
    seen: set[bytes] = set()
    sample: SampleCheck | None = None
    with tarfile.open(fileobj=file, mode="r|*", tarinfo=StrictTarInfo) as tar:
        for info in headers(tar):
            if info.isdir():
                continue
            if info.name.startswith("/") or ".." in info.name.split("/"):
                add("unsafe_name", "", info.name)
            if not info.isreg():
                add("not_a_file", "", info.name)
                continue
            key, extension = split_name(info.name)
            if not key:
                add("no_extension", "", info.name)
                continue
            if sample is None or key != sample.key:
                if sample:
                    _finish(sample, report, add)
                    report.in_key_order &= sample.key < key
                sample = SampleCheck(key)
                digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
                if digest in seen:
                    add("duplicate_key", key, "came before in this shard")
                seen.add(digest)
            if extension in sample.members:
                add("duplicate_member", key, f".{extension}")
                continue
            sample.members.append(extension)
            for problem in _check_member(tar, info, extension, sample):
                add(problem.kind, key, problem.message)
        if sample:
            _finish(sample, report, add)
        else:
            add("no_samples", "", "nothing in it that a reader would take for a sample")
        if any(chunk.strip(b"\0") for chunk in iter(lambda: tar.fileobj.read(_CHUNK), b"")):
            add("after_end", "", "two tars glued together, perhaps")


def _finish(sample: SampleCheck, report: ShardReport, add: Callable[[str, str, str], None]) -> None:
    for problem in sample.finish():
        add(problem.kind, sample.key, problem.message)
    named = split_of(report.shard)
    if named and sample.split and sample.split != named.split:
        add("wrong_split", sample.key, f"the record says {sample.split}")
    report.seen.add(sample.key, sample.image_digest, sample.image_id)
    report.samples += 1
    report.images += sample.images
    report.regions += sample.regions
    members = tuple(sorted(sample.members))
    if before := report.member_sets.get(members):
        report.member_sets[members] = before._replace(samples=before.samples + 1)
    elif len(report.member_sets) < MAX_MEMBER_SETS:
        report.member_sets[members] = MemberSet(1, report.shard, sample.key)
    else:
        add("member_set", sample.key, f"more than {MAX_MEMBER_SETS} different sets in this shard")


def _check_member(
    tar: tarfile.TarFile, info: tarfile.TarInfo, extension: str, sample: SampleCheck
) -> Iterator[Problem]:
    kind = extension.rpartition(".")[2]
    if kind not in IMAGES and kind not in TEXTS and kind != "json":
        return
    if info.size > (MAX_IMAGE if kind in IMAGES else MAX_TEXT):
        yield Problem("too_large", f".{extension} has {info.size:,} bytes")
        return
    content = tar.extractfile(info)
    yield from sample.member(extension, content.read() if content else b"")

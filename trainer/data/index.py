"""What lies where in a shard: built from its headers and records once, then read from beside it.

    out/data/train-00000-of-00008.tar  ->  out/data/.index/train-00000-of-00008.tar.arrow

    key               image_id       boxes  image_offset  image_size  record_offset  record_size
    scene-00000012_1  scene-00000012     3           512       10239          11264         1204

The index has a folder of its own because `datasets` takes whatever is called
`data/train-00000-of-00008...` for a shard; it looks into no folder whose name begins with a dot. It
names the shard's size and time, or etag, so that a replaced shard gets a new one. Where nothing may be
written, it is built again each time.
"""

import io
import logging
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.pipeline.storage.samples import NOWHERE, samples
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas.errors import UserError
from gritmill.trainer.data.reading import MAX_RECORD, BadSample, boxes_of, image_id_of, key_of, to_record

log = logging.getLogger(__name__)

FOLDER = ".index"
FORM = "2"
"""To be raised with every change of what an index holds."""

SCHEMA = pa.schema(
    [
        pa.field("key", pa.large_string(), nullable=False),
        pa.field("image_id", pa.large_string(), nullable=False),
        pa.field("boxes", pa.int32(), nullable=False),
        pa.field("image_offset", pa.int64(), nullable=False),
        pa.field("image_size", pa.int64(), nullable=False),
        pa.field("record_offset", pa.int64(), nullable=False),
        pa.field("record_size", pa.int64(), nullable=False),
    ]
)
"""A row a sample, in the tar's order. A member that is not there has size 0."""

_REQUESTS = 16
MAX_INDEX = 2**31
"""Largest index that is read, in bytes."""


def load_indexes(urls: Sequence[str]) -> list[pa.Table]:
    """The indexes of many shards, in order, as `load_index`."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(load_index, urls))


def load_index(url: str) -> pa.Table:
    """The index of a shard, from beside it or built now. Raises `UserError` for a shard that is not there.

    The good part of a damaged shard is indexed, with a warning each time.
    """
    shard = files.stat(url)
    if shard is None:
        raise _unreachable(url, "there is no such file")
    path = index_path(url)
    index = _read(path, shard)
    if index is None:
        index, is_whole = build(shard)
        if is_whole:
            _keep(path, _encoded(index, shard))
    return index


def index_path(url: str) -> str:
    """Where the index of a shard lies."""
    folder, name = posixpath.split(url)
    return posixpath.join(folder, FOLDER, f"{name}.arrow")


def open_shard(url: str) -> BinaryIO:
    """A seekable file. Raises `UserError` for a shard that cannot be had."""
    try:
        return files.open_binary(url)
    except OSError as error:
        raise _unreachable(url, str(error)) from error


def _unreachable(url: str, why: str) -> UserError:
    return UserError(f"{url} cannot be reached: {why}. Check the address and your access.")


def _keep(path: str, index: bytes) -> None:
    """Where nothing may be written, not at all."""
    folder, name = posixpath.split(path)
    try:
        Store(folder).write(name, index)
    except Exception as error:  # each filesystem has exceptions of its own
        log.info("%s cannot be kept: %s", path, error)


def build(shard: File) -> tuple[pa.Table, bool]:
    """Reads the headers and records of a shard -> its index, and whether the shard has a proper end."""
    rows: list[tuple[str, str, int, int, int, int, int]] = []
    is_whole = True
    with open_shard(shard.uri) as file:
        try:
            for sample in samples(file):
                stem, image, record = sample.stem, sample.image, sample.record
                if image == record == NOWHERE:
                    continue
                key, image_id, boxes = stem, stem, 0
                if 0 < record.size <= MAX_RECORD:
                    key, image_id, boxes = _facts(record.read(file), stem)
                rows.append((key, image_id, boxes, *image, *record))
        except BrokenArchive as error:
            log.warning("%s is damaged: %s; %d samples of it are used", shard.uri, error, len(rows))
            is_whole = False
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(arrays, schema=SCHEMA), is_whole


def _facts(record: bytes, stem: str) -> tuple[str, str, int]:
    try:
        fields = to_record(record)
    except BadSample:
        return stem, stem, 0
    key = key_of(fields, stem)
    return key, image_id_of(fields, key), boxes_of(fields)


def _identity(shard: File) -> dict[bytes, bytes]:
    return {b"form": FORM.encode(), b"shard": f"{shard.size} {shard.version}".encode()}


def _encoded(index: pa.Table, shard: File) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, SCHEMA.with_metadata(_identity(shard))) as writer:
        writer.write_table(index)
    return sink.getvalue()


def _read(path: str, shard: File) -> pa.Table | None:
    """None if there is no index, or one of another shard or form, or nonsense: datasets travel."""
    try:
        data = files.read(path, MAX_INDEX)
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            schema = reader.schema
            if not schema.equals(SCHEMA) or (schema.metadata or {}) != _identity(shard):
                return None
            index = reader.read_all().replace_schema_metadata(None)
        index.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        log.info("%s is no index: %s", path, error)
        return None
    return index if _lies_within(index, shard.size) else None


def _lies_within(index: pa.Table, size: int) -> bool:
    for kind in ("image", "record"):
        offsets, sizes = index[f"{kind}_offset"], index[f"{kind}_size"]
        if any(pc.any(pc.less(column, 0)).as_py() for column in (offsets, sizes)):
            return False
        if pc.any(pc.greater(sizes, pc.subtract(pa.scalar(size), offsets))).as_py():
            return False
    return True

"""Parquet files and the Arrow files of `datasets`: cut into parts, and read without the images.

An image column holds bytes, or a struct with `bytes` (what `datasets` writes), or paths.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import GrowingRows, as_captions
from gritmill.pipeline.sources.keys import distinct_names
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.schemas.columns import ImageRef, Reject
from gritmill.schemas.errors import UserError


class Rows(NamedTuple):
    """Rows of a part: their values without the image, and the image as a reference, as the path
    that the column holds, or as a reason why there is none."""

    first: int
    values: list[dict[str, Any]]
    images: list[ImageRef | Reject | str]


def cut(found: Sequence[File], part_size: int) -> Iterator[Part]:
    """Parts of about `part_size` rows: whole row groups of parquet files, whole Arrow files."""
    with ThreadPoolExecutor(16) as pool:  # footers are small and, if remote, slow to come
        for file, name, sizes in zip(found, distinct_names(uris(found)), pool.map(_group_sizes, found)):
            base = {"uri": file.uri, "version": file.version, "name": name}
            if sizes is None:
                yield base
                continue
            first = rows = start = 0
            for group, size in enumerate(sizes):
                if rows and rows + size > part_size:
                    yield base | {"groups": [start, group], "first": first, "rows": rows}
                    first, rows, start = first + rows, 0, group
                rows += size
            if rows:
                yield base | {"groups": [start, len(sizes)], "first": first, "rows": rows}


def uris(found: Sequence[File]) -> list[str]:
    return [file.uri for file in found]


def schema_of(uri: str) -> pa.Schema:
    """The columns of a parquet or Arrow file. Raises `UserError` if it is none."""
    try:
        with files.open_binary(uri) as file:
            return pa.ipc.open_stream(file).schema if _is_arrow(uri) else pq.read_schema(file)
    except pa.ArrowException as error:
        raise _unreadable(uri, error) from error


def column_problems(uri: str, image: str, texts: Sequence[str]) -> list[str]:
    """What is wrong with the columns that a recipe names, a sentence each."""
    schema = schema_of(uri)
    there = ", ".join(schema.names)
    problems = [
        f"{uri} has no column {name!r}; it has: {there}"
        for name in [image, *texts]
        if name not in schema.names
    ]
    if image in schema.names and _kind(schema.field(image).type) is None:
        problems.append(
            f"column {image!r} of {uri} is {schema.field(image).type}; an image column holds bytes, "
            "a struct with bytes, or paths"
        )
    return problems


def read_rows(part: Part, image: str) -> Rows:
    """The rows of a part; image bytes are not read if the file itself says that none is missing."""
    uri = part["uri"]
    schema = schema_of(uri)
    names = [field.name for field in schema if field.name != image and _is_plain(field.type)]
    kind = _kind(schema.field(image).type)
    if kind == "path":
        names.append(image)
    try:
        table, absent = (
            _read_arrow(uri, names, image, kind)
            if _is_arrow(uri)
            else _read_parquet(part, names, image, kind)
        )
    except pa.ArrowException as error:
        raise _unreadable(uri, error) from error
    columns = {name: _values(table.column(name)) for name in names}
    first = part.get("first", 0)
    images: list[ImageRef | Reject | str]
    if kind == "path":
        images = [v if isinstance(v, (str, Reject)) else Reject("missing_image") for v in columns.pop(image)]
    else:
        images = [
            Reject("missing_image") if missing else ImageRef(f"{uri}#{image}", first + i, 0)
            for i, missing in enumerate(absent)
        ]
    values = [{name: column[i] for name, column in columns.items()} for i in range(len(images))]
    return Rows(first, values, images)


def add_row(
    samples: GrowingRows,
    name: str,
    image: ImageRef | Reject,
    values: dict[str, Any],
    captions: list[str],
    leave_out: list[str],
    image_id: str | None = None,
) -> None:
    """The samples of a row: captions from some of its columns, metadata from the others."""
    texts = [caption for column in captions for caption in as_captions(values.get(column))]
    metadata = {
        column: value
        for column, value in values.items()
        if column not in captions and column not in leave_out and not isinstance(value, Reject)
    }
    samples.add(name, image, texts, metadata, image_id=image_id)


def _read_parquet(part: Part, names: list[str], image: str, kind: str | None) -> tuple[pa.Table, list[bool]]:
    with files.open_binary(part["uri"]) as source:
        file = pq.ParquetFile(source)
        groups = list(range(*part["groups"]))
        table = file.read_row_groups(groups, columns=names)
        absent: list[bool] = []
        for group in groups if kind != "path" else []:
            leaf = f"{image}.bytes" if kind == "struct" else image
            if _nulls(file.metadata.row_group(group), leaf) == 0:
                absent += [False] * file.metadata.row_group(group).num_rows
            else:
                column = file.read_row_group(group, columns=[leaf]).column(image)
                absent += _absent(column, kind)
        return table, absent


def _read_arrow(uri: str, names: list[str], image: str, kind: str | None) -> tuple[pa.Table, list[bool]]:
    with pa.memory_map(uri) if files.is_local(uri) else files.open_binary(uri) as source:
        reader = pa.ipc.open_stream(source)
        schema = pa.schema([reader.schema.field(name) for name in names])
        batches, absent = [], []
        for batch in reader:
            few = batch.select(names)
            few.validate(full=True)  # offsets of a foreign file could point anywhere
            batches.append(few)
            absent += _absent(batch.column(image), kind) if kind != "path" else []
        return pa.Table.from_batches(batches, schema), absent


def _absent(column: Any, kind: str | None) -> list[bool]:
    values = pc.struct_field(column, "bytes") if kind == "struct" else column
    return values.is_null().to_pylist()


def _nulls(group: Any, leaf: str) -> int | None:
    """Nulls of a column in a row group as its statistics say; None if they do not."""
    for i in range(group.num_columns):
        chunk = group.column(i)
        if chunk.path_in_schema == leaf and chunk.is_stats_set and chunk.statistics.has_null_count:
            return chunk.statistics.null_count
    return None


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; what has none, such as text that is no UTF-8, becomes a `Reject`."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return Reject("bad_text")
    except (ValueError, OverflowError):  # a date that Python does not know
        return Reject("bad_value")


def _kind(type_: pa.DataType) -> str | None:
    """How an image column holds images: "bytes", "struct" or "path"; None if it does not."""
    if _is_bytes(type_):
        return "bytes"
    if pa.types.is_struct(type_):
        index = type_.get_field_index("bytes")
        return "struct" if index >= 0 and _is_bytes(type_.field(index).type) else None
    return "path" if _is_text(type_) else None


def _is_plain(type_: pa.DataType) -> bool:
    """True for a scalar that is no blob, and for lists of texts."""
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return _is_text(type_.value_type)
    return not (pa.types.is_nested(type_) or _is_bytes(type_) or isinstance(type_, pa.BaseExtensionType))


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)


def _is_bytes(type_: pa.DataType) -> bool:
    return pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_)


def _is_arrow(uri: str) -> bool:
    return uri.endswith(".arrow")


def _group_sizes(file: File) -> list[int] | None:
    """Rows of each row group; None for an Arrow file, which has no index."""
    if _is_arrow(file.uri):
        return None
    try:
        with files.open_binary(file.uri) as source:
            metadata = pq.read_metadata(source)
    except pa.ArrowException as error:
        raise _unreadable(file.uri, error) from error
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def _unreadable(uri: str, error: Exception) -> UserError:
    kind = "Arrow stream" if _is_arrow(uri) else "parquet file"
    return UserError(f"{uri} is no {kind} that can be read: {error}. Write it again or leave it out.")

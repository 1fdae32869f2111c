"""`table`: parquet or JSON lines, a row an image with its captions.

    {"image": "photos/139.jpg", "caption": "a dog in a field", "licence": "CC BY 4.0"}

A picture that is replaced under the same name is not noticed; a changed table is.
"""

import posixpath
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field

from gritmill.pipeline.sources import columnar
from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import CaptionedSource, GrowingRows, json_object
from gritmill.pipeline.sources.keys import distinct_names, safe_key
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.schemas.columns import Columns, ImageRef, Reject
from gritmill.schemas.errors import UserError

MAX_LINE = 2**24
"""Longest line that is read, in bytes."""


class TableSource(CaptionedSource):
    """Reads tables; a part is some row groups of a parquet file, or a range of bytes of JSON lines."""

    place = ("path", "root", "per")
    type: Literal["table"] = "table"
    path: str | list[str]
    """Parquet or JSON lines files: a path, glob or URL, `{00..12}` spelled out; or a list of them."""
    image: str = "image"
    """Column with the path of an image; in parquet also its bytes, or a struct with `bytes`."""
    caption: str | list[str] = "caption"
    """Column with a caption or a list of them; or a list of such columns."""
    root: str | None = None
    """Folder or URL that the paths are relative to and lie in; null is the table's own folder, `/`
    takes any absolute path."""
    key: str | None = None
    """Column with the key of a row; null makes one of the table's name and the row's place."""
    part_size: int = Field(default=1000, ge=1)
    """Rows of a part of parquet, as far as row groups allow."""
    part_bytes: int = Field(default=2**24, ge=1)
    """Bytes of a part of JSON lines."""

    def problems(self) -> list[str]:
        try:
            found, missing = files.find_all(self._patterns)
            problems = [
                f"nothing is found at {name}; let `path` name a table that is there" for name in missing
            ]
            for file in found:
                if not file.uri.endswith((".parquet", *_LINES)):
                    problems.append(f"{file.uri} is no .parquet or .jsonl file; convert or unpack it")
            if found and not problems:
                problems = self._column_problems(found[0].uri)
        except UserError as error:
            return [str(error)]
        return problems

    def parts(self) -> Iterator[Part]:
        found, _ = files.find_all(self._patterns)
        yield from columnar.cut([file for file in found if not file.uri.endswith(_LINES)], self.part_size)
        yield from _ranges([file for file in found if file.uri.endswith(_LINES)], self.part_bytes)

    def read(self, part: Part) -> Columns:
        samples = GrowingRows(self)
        rows = list(self._lines(part) if "stop" in part else self._columns(part))
        root = posixpath.dirname(part["uri"]) if self.root is None else self.root
        for row, (image, path) in zip(rows, _located(root, [row.image for row in rows])):
            if isinstance(row.values, Reject):
                samples.reject(row.name, row.values)
                continue
            columnar.add_row(
                samples,
                self._key(row.name, row.values),
                image,
                row.values,
                captions=self._captions,
                leave_out=[self.image, *([self.key] if self.key else [])],
                image_id=safe_key(path) if path else None,
            )
        return samples.columns

    @property
    def _patterns(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path

    @property
    def _captions(self) -> list[str]:
        return [self.caption] if isinstance(self.caption, str) else self.caption

    def _column_problems(self, uri: str) -> list[str]:
        texts = [*self._captions, *([self.key] if self.key else [])]
        if not uri.endswith(_LINES):
            return columnar.column_problems(uri, self.image, texts)
        first = (json_object(line) for _, line in zip(range(100), _head(uri)) if isinstance(line, bytes))
        names = {name: None for row in first if isinstance(row, dict) for name in row}
        there = ", ".join(names)
        return [
            f"{uri} has no field {name!r}; it has: {there}"
            for name in [self.image, *texts]
            if name not in names
        ]

    def _key(self, place: str, values: dict[str, Any]) -> str:
        key = values.get(self.key) if self.key else None
        return str(key) if isinstance(key, (str, int)) and key != "" else place

    def _columns(self, part: Part) -> Iterator["_Row"]:
        rows = columnar.read_rows(part, self.image)
        for i, (values, image) in enumerate(zip(rows.values, rows.images)):
            yield _Row(f"{part['name']}_{rows.first + i:06d}", values, image)

    def _lines(self, part: Part) -> Iterator["_Row"]:
        for offset, line in _lines_of(part["uri"], part["start"], part["stop"]):
            # Which number a line has cannot be told from the middle of a file, but where it begins can.
            name = f"{part['name']}_{offset:012d}"
            values = line if isinstance(line, Reject) else json_object(line)
            image = values.get(self.image) if isinstance(values, dict) else None
            yield _Row(name, values, image if isinstance(image, str) else Reject("missing_image"))


class _Row(NamedTuple):
    name: str
    values: dict[str, Any] | Reject
    image: ImageRef | Reject | str


_LINES = (".jsonl", ".ndjson")


def _located(root: str, images: list[ImageRef | Reject | str]) -> Iterator[tuple[ImageRef | Reject, str]]:
    """Paths -> references and the path within the root; what is no path stays as it is."""
    for image in images:
        if not isinstance(image, str):
            yield image, ""
            continue
        path = files.inside(root, image)
        if path is None:
            yield Reject("bad_path", ascii(image)[1:-1][:200], root), ""
            continue
        uri = posixpath.join(root, path)
        if not files.is_local(uri):  # a look at each would cost a request; its reader will see
            yield ImageRef(uri, 0, 0), path
            continue
        file = files.stat(uri)
        yield (ImageRef(uri, 0, file.size) if file else Reject("missing_image", path)), path


def _ranges(found: list[File], size: int) -> Iterator[Part]:
    """Byte ranges; a line belongs to the range that it begins in."""
    for file, name in zip(found, distinct_names(columnar.uris(found))):
        for start in range(0, file.size, size):
            stop = min(start + size, file.size)
            yield {"uri": file.uri, "version": file.version, "name": name, "start": start, "stop": stop}


def _head(uri: str) -> Iterator[bytes | Reject]:
    return (line for _, line in _lines_of(uri, 0, MAX_LINE))


def _lines_of(uri: str, start: int, stop: int) -> Iterator[tuple[int, bytes | Reject]]:
    """The lines that begin in a range of bytes, each with where it begins; blank ones are left out."""
    with files.open_binary(uri) as file:
        if start:
            file.seek(start - 1)
            _finish_line(file)
        while (offset := file.tell()) < stop:
            line = file.readline(MAX_LINE)
            if not line:
                return
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                _finish_line(file)
                yield offset, Reject("line_too_long", f"more than {MAX_LINE}", MAX_LINE)
            elif line.strip():
                yield offset, line


def _finish_line(file: Any) -> None:
    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass

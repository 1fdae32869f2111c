"""`folder`: images with captions in text files, or in a table of Hugging Face's imagefolder layout.

photos/a.jpg  photos/a.txt         a line of a.txt is a caption of a.jpg
photos/a.jpg  photos/metadata.csv  or metadata.jsonl, with the columns `file_name` and `text`
"""

import csv
import io
import posixpath
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import (
    MAX_CAPTION,
    CaptionedSource,
    GrowingRows,
    as_captions,
    json_object,
)
from gritmill.pipeline.sources.listings import find_in, listed, reference_to
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_TABLE = 2**32
"""Largest metadata file that is read, in bytes."""

_TABLES = ("metadata.jsonl", "metadata.csv")


class FolderSource(CaptionedSource):
    """Reads a folder of images, subfolders included; a part is a slice of the sorted list of them.

    The key of an image is its path in the folder without the extension.
    """

    place = ("path", "per")
    type: Literal["folder"] = "folder"
    path: str
    """The folder, or its URL. With a metadata file in it the captions come from there."""
    caption: str | list[str] = "text"
    """Column of the metadata file with a caption or a list of them; or a list of such columns."""
    part_size: int = Field(default=1000, ge=1)
    """Images of a part."""

    def problems(self) -> list[str]:
        try:
            if not files.exists(self.path):
                return [f"there is no folder {self.path}; let `path` name one"]
            table = self._table()
            if table:
                return _column_problems(table, self._captions)
            if not any(_is_image(name) for name in files.walk(self.path)):
                return [
                    f"{self.path} has no images; let `path` name a folder of {', '.join(EXTENSIONS)} files"
                ]
        except UserError as error:
            return [str(error)]
        return []

    def parts(self) -> Iterator[Part]:
        table = self._table()
        yield from self._slices_of(table) if table else self._slices_of_folder()

    def read(self, part: Part) -> Columns:
        samples = GrowingRows(self)
        if "table" in part:
            self._read_table(part, samples)
        else:
            self._read_texts(part, samples)
        return samples.columns

    @property
    def _captions(self) -> list[str]:
        return [self.caption] if isinstance(self.caption, str) else self.caption

    def _table(self) -> File | None:
        uris = (posixpath.join(self.path, name) for name in _TABLES)
        return next((file for uri in uris if (file := files.stat(uri))), None)

    def _slices_of(self, table: File) -> Iterator[Part]:
        rows = _rows(table.uri, table.version)
        found = find_in(self.path, [row.get("file_name") if isinstance(row, dict) else None for row in rows])
        for start in range(0, len(rows), self.part_size):
            some = found[start : start + self.part_size]
            base = {"table": table.uri, "version": table.version, "start": start, "stop": start + len(some)}
            yield base | listed(some)

    def _slices_of_folder(self) -> Iterator[Part]:
        there = files.walk(self.path)
        images = [name for name in there if _is_image(name)]
        for start in range(0, len(images), self.part_size):
            names = images[start : start + self.part_size]
            texts = listed([there.get(_text_of(name)) for name in names])
            yield {
                # Not every name on a disk is Unicode; one that is not is shown, but cannot be kept.
                "names": [name.encode("utf-8", "backslashreplace").decode() for name in names],
                **listed([there[name] if files.is_clean(name) else None for name in names]),
                "text_sizes": texts["sizes"],
                "text_files": texts["files"],
            }

    def _read_table(self, part: Part, samples: GrowingRows) -> None:
        rows = _rows(part["table"], part["version"])[part["start"] : part["stop"]]
        for number, row, size in zip(range(part["start"], part["stop"]), rows, part["sizes"]):
            if isinstance(row, Reject):
                samples.reject(f"metadata_{number:06d}", row)
                continue
            name = row.get("file_name")
            metadata = {k: v for k, v in row.items() if k != "file_name" and k not in self._captions}
            captions = [caption for column in self._captions for caption in as_captions(row.get(column))]
            image = reference_to(self.path, name, size)
            samples.add(_key(name) if name else f"metadata_{number:06d}", image, captions, metadata)

    def _read_texts(self, part: Part, samples: GrowingRows) -> None:
        wanted = [
            _text_of(name) if 0 <= size <= MAX_CAPTION else None
            for name, size in zip(part["names"], part["text_sizes"])
        ]
        fetched = iter(files.read_many([posixpath.join(self.path, name) for name in wanted if name]))
        for name, size, text, text_size in zip(part["names"], part["sizes"], wanted, part["text_sizes"]):
            captions: list[Any] = _lines(next(fetched)) if text else []
            if text_size > MAX_CAPTION:
                captions = [Reject("caption_too_large", text_size, MAX_CAPTION)]
            samples.add(_key(name), reference_to(self.path, name, size), captions)


@lru_cache(maxsize=1)
def _rows(uri: str, version: str) -> list[dict[str, Any] | Reject]:
    """The rows of a metadata file; blank lines are none."""
    try:
        text = files.read(uri, MAX_TABLE).decode("utf-8-sig")
        if uri.endswith(".csv"):
            csv.field_size_limit(MAX_CAPTION)  # Python's own limit is 128 kB
            reader = csv.DictReader(io.StringIO(text, newline=""))
            return [Reject("bad_row", "more cells than columns") if None in row else row for row in reader]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{uri} cannot be read: {error}. Save it as UTF-8, well formed.") from error
    return [json_object(line) for line in text.split("\n") if line.strip()]


def _column_problems(table: File, captions: list[str]) -> list[str]:
    rows = _rows(table.uri, table.version)
    names = {name: None for row in rows[:100] if isinstance(row, dict) for name in row}
    there = ", ".join(names)
    if not rows:
        return [f"{table.uri} has no rows; fill it or remove it"]
    return [
        f"{table.uri} has no column {name!r}; it has: {there}"
        for name in ["file_name", *captions]
        if name not in names
    ]


def _is_image(name: str) -> bool:
    hidden = any(step.startswith(".") for step in name.split("/"))
    return name.lower().endswith(EXTENSIONS) and not hidden


def _key(name: object) -> str:
    return posixpath.splitext(str(name))[0]


def _text_of(image: str) -> str:
    return f"{_key(image)}.txt"


def _lines(data: bytes | OSError) -> list[Any]:
    """The lines of a caption file, without those that are blank."""
    if isinstance(data, OSError):
        return [Reject("unreadable_caption", type(data).__name__)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [Reject("bad_text", str(error))]
    return [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]

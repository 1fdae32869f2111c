"""What the readers share: JSON that may hold anything, and images by the names that data give them."""

import json
import math
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from gritmill.pipeline.storage import files
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import ImageRef, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import open_header, oriented_size

MAX_LINE = 2**24
"""Longest line of JSON lines, and largest JSON of a single sample, in bytes."""
_LARGEST = 1e7
"""Coordinates beyond it, in pixels, are no coordinates."""
HEAD = 2**18
"""Bytes in which an image says its size, and a JSON file what it is about."""


def parse_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object in a few bytes; None if they hold anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_lines(path: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(line number from 1, its object or None if it is none), blank lines left out; one line in memory."""
    with files.open_binary(path) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            whole = line.endswith(b"\n") or len(line) < MAX_LINE
            while not whole:
                rest = file.readline(MAX_LINE)
                whole = rest.endswith(b"\n") or len(rest) < MAX_LINE
                line = b"?"
            if line.strip():
                yield number, parse_object(line)


def first_entry(path: str) -> dict[str, Any]:
    """The first object of a JSON list or of JSON lines, from the file's beginning; empty if there is none."""
    try:
        text = files.read_range(path, 0, MAX_LINE).decode("utf-8", "ignore").lstrip("\ufeff[ \t\r\n")
        value, _ = json.JSONDecoder().raw_decode(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON list, whatever else it holds left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def numbers(value: object, count: int) -> list[float] | None:
    """A list of so many finite numbers that can be pixels; None if it is none."""
    if not isinstance(value, (list, tuple)) or len(value) != count:
        return None
    return list(map(float, value)) if all(map(is_number, value)) else None


def is_number(value: object) -> TypeGuard[float]:
    """True for a finite number of no absurd size."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def size_of(entry: Mapping[str, Any], width: str = "width", height: str = "height") -> tuple[int, int]:
    """(width, height) of an entry; zeros where it does not say them."""
    w, h = entry.get(width), entry.get(height)
    return (int(w), int(h)) if is_number(w) and is_number(h) and min(w, h) >= 1 else (0, 0)


def xywh_box(bbox: object, size: tuple[int, int]) -> Box | None:
    """COCO's `bbox` -> 0..1; None if it is none."""
    found = numbers(bbox, 4)
    if found is None or not all(size):
        return None
    x, y, w, h = found
    return Box.from_xywh_pixels(x, y, w, h, *size)


def corner_box(bbox: object, size: tuple[int, int]) -> Box | None:
    """Pixel corners -> 0..1; None if they are none."""
    found = numbers(bbox, 4)
    if found is None or not all(size):
        return None
    x1, y1, x2, y2 = found
    return Box.from_pixels(x1, y1, x2, y2, *size)


def lists(value: object) -> list[list[Any]]:
    """The lists in a JSON list, whatever else it holds left out."""
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def hull(spans: object) -> Span | None:
    """MDETR's `tokens_positive` -> one span, from the first's start to the last's end; None if there is none.

    >>> hull([[0, 3], [4, 11]])
    Span(start=0, end=11)
    """
    pairs = [pair for pair in lists(spans) if len(pair) == 2]
    if not pairs or not all(isinstance(v, int) for pair in pairs for v in pair):
        return None
    return Span(min(start for start, _ in pairs), max(end for _, end in pairs))


def texts(value: object) -> list[str]:
    """The texts of a JSON list, whatever else it holds left out."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def rest_of(entry: Mapping[str, Any], told: Collection[str]) -> dict[str, Any]:
    """An entry's own `metadata`, and its fields that are none of `told`."""
    hidden = entry.get("metadata", {})
    extra = {field: value for field, value in entry.items() if field not in told and field != "metadata"}
    return extra | (hidden if isinstance(hidden, dict) else {"metadata": hidden})


def text_of(value: object) -> str:
    """An id as text; empty for what is none."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return str(value) if isinstance(value, (str, int, float)) else ""


class Images:
    """Finds images by the names that data give them, in some folders, the first that has it wins.

    A name never leads out of a folder, and a URL is never fetched.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if files.exists(folder or ".")]

    def find(self, name: object) -> ImageRef | None:
        """The whole file; None if no folder has it."""
        if not isinstance(name, str):
            return None
        for folder in self._folders:
            path = files.inside(folder, name)
            found = files.stat(posixpath.join(folder, path)) if path else None
            if found and found.size:
                return ImageRef(found.uri, 0, found.size)
        return None


def image_folders(path: str, images: str | None, *names: str) -> list[str]:
    """Where images may lie: the folder that was given, or `names` below the data and the data's own."""
    if images is not None:
        return [images]
    folder = posixpath.dirname(path) if files.stat(path) else path
    return [*(posixpath.join(folder, name) for name in (*names, "images")), folder]


def measured(where: ImageRef | None) -> tuple[int, int]:
    """(width, height) that an image's header says, as a viewer sees it; zeros if it cannot be read."""
    if where is None:
        return 0, 0
    try:
        length = min(where.length, HEAD) if where.length else HEAD
        return oriented_size(open_header(files.read_range(where.uri, where.offset, length)))
    except (OSError, ValueError, SyntaxError):
        return 0, 0


def json_files(path: str, *extensions: str) -> list[str]:
    """The path if it is a file, or the JSON files right in a folder, sorted.

    Raises `UserError` if there are none.
    """
    if files.stat(path):
        return [path]
    wanted = extensions or (".json",)
    found = [file.uri for name, file in files.children(path).items() if name.endswith(wanted)]
    if not found:
        raise UserError(f"{path} has no {' or '.join(wanted)} file; give the file itself.")
    return found


def split_of(uri: str) -> str:
    """What the name of a file says of its split: `instances_val2017.json` -> `validation`."""
    name = posixpath.basename(uri)
    return "validation" if "val" in name else "test" if "test" in name else "train"

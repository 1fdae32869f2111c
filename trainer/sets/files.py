"""Files of questions that others wrote: read within limits, and told by file and line when they are wrong."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import Image as PILImage

from gritmill.pipeline.storage import texts
from gritmill.pipeline.storage.files import inside
from gritmill.schemas import images
from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError

MAX_IMAGE = 2**28
"""Largest image file, in bytes."""
MAX_TEXT = 20_000
"""Longest text that is asked or scored, in characters."""

_COCO_2014 = re.compile(r"COCO_(train|val)2014_")

Row = dict[str, Any]
Loader = Callable[[], PILImage]


def json_object(path: Path, *lists: str) -> Row:
    """A JSON object with lists of objects of these names. Raises `UserError`."""
    value = texts.read_json(str(path))
    for name in lists:
        entries = value.get(name) if isinstance(value, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} has no list {name!r} of objects. Check the `format` of this set.")
    return dict(value)


def json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    """(place, object) of each line that is not blank: ("pope.jsonl, line 3", {...}). Raises `UserError`."""
    return texts.json_lines(texts.read_text(str(path)), str(path))


def words(row: Mapping[str, Any], name: str, place: str) -> str:
    """A text that says something, on one line. Raises `UserError`."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place} has no text {name!r}. Check the `format` of this set.")
    return clean(value, place)


def clean(value: str, place: str) -> str:
    """Text on one line, without half surrogate pairs. Raises `UserError` if it is longer than `MAX_TEXT`."""
    if len(value) > MAX_TEXT:
        raise UserError(
            f"{place} has a text of {len(value):,} characters, more than {MAX_TEXT:,}. Shorten it."
        )
    return " ".join(value.encode("utf-8", "replace").decode().split())


def identifier(row: Mapping[str, Any], name: str, place: str) -> int | str:
    """A whole number or text that names something. Raises `UserError`."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise UserError(f"{place} has no {name!r}, a number or text. Check the `format` of this set.")
    return value if isinstance(value, int) else clean(value, place)


def size(row: Mapping[str, Any], place: str) -> tuple[float, float]:
    """`width` and `height` in pixels; MDETR writes those of Flickr30k as text. Raises `UserError`."""
    width, height = (_number(row.get(name)) for name in ("width", "height"))
    if not (width and height and width > 0 and height > 0):
        raise UserError(f"{place} has no width and height in pixels. Boxes cannot be placed without them.")
    return width, height


def xywh(row: Mapping[str, Any], within: tuple[float, float], place: str) -> Box:
    """COCO's `bbox` in pixels -> 0..1, as it is: not clipped, perhaps without area. Raises `UserError`."""
    bbox = row.get("bbox")
    values = [_number(value) for value in bbox] if isinstance(bbox, list) else []
    numbers = [value for value in values if value is not None]
    if len(values) != 4 or len(numbers) != 4:
        raise UserError(f"{place} has no `bbox` of four numbers. Check the `format` of this set.")
    x, y, w, h = numbers
    return Box.from_xywh_pixels(x, y, w, h, *within)


def _number(value: object) -> float | None:
    """None for what is no finite number, or beyond any image."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e7 else None


class ImageFolder:
    """A folder of images by the names that files of questions call them.

    COCO's images may also lie in `train2014/` and `val2014/` below it. No name leads out of the folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"There is no folder {folder}. Let `images` name the one with the images.")

    def loader(self, name: str, place: str) -> Loader:
        """Decodes an image when called. Raises `UserError` for a name that leads out of the folder."""
        if inside("", name) is None:
            raise UserError(f"{place} names the image {name!r}, which is no path within `images`. Mend it.")
        return partial(self._decode, name)

    def _decode(self, name: str) -> PILImage:
        found = self.folder / name
        coco = _COCO_2014.match(name)
        if coco and not found.is_file():
            found = self.folder / f"{coco[1]}2014" / name
        with found.open("rb") as file:
            data = file.read(MAX_IMAGE + 1)
        if len(data) > MAX_IMAGE:
            raise OSError(f"more than {MAX_IMAGE:,} bytes")
        return images.decode(data)

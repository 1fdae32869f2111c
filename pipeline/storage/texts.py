"""Text and JSON that others wrote, whole: what it is not is told in a sentence."""

import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from gritmill.pipeline.storage import files
from gritmill.schemas.errors import UserError

MAX_TEXT = 2**32
"""Largest file that is read, in bytes; COCO's have up to 0.5 GB, as has Flickr30k's in MDETR's form."""

MAX_LINE = 2**22
"""Longest of JSON lines, in characters."""


def read_text(uri: str, limit: int = MAX_TEXT) -> str:
    """A file of UTF-8, with a byte order mark or none. Raises `UserError`."""
    if PurePosixPath(uri).suffix in (".p", ".pkl", ".pickle"):
        raise UserError(
            f"{uri} is a pickle, which may run any code when it is read, so it is not. Write what is in it "
            "as JSON lines where you trust it (docs/curation.md), or take MDETR's finetune_refcoco*.json."
        )
    try:
        return files.read(uri, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{uri} is not UTF-8. Give the file as it was published, unpacked.") from error
    except OSError as error:
        raise UserError(f"{uri} cannot be read: {error.strerror or error}. Check the path.") from error


def read_json(uri: str, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """A JSON file. Raises `UserError`."""
    return parse_json(read_text(uri), uri, object_hook)


def parse_json(text: str, name: str, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The JSON in the text of a file. Raises `UserError`."""
    try:
        return json.loads(text, object_hook=object_hook)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is no JSON: {error}. Give the file unpacked and whole.") from error


def json_lines(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line that is not blank: ("pope.jsonl, line 3", {...}). Raises `UserError`."""
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{name}, line {number}"
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            raise UserError(f"{place} has {len(line):,} characters. Give one JSON object a line.")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place} is no JSON: {error}. Give one JSON object a line.") from error
        if not isinstance(row, dict):
            raise UserError(f"{place} is no JSON object. Give one JSON object a line.")
        yield place, row

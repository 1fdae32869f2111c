"""Lists of evaluation data: JSON lines that `pipeline fingerprint-set` writes and anybody can.

    {"evaluation_list": 1, "hash": "dct128"}
    {"set": "refcoco/val", "image": "COCO_train2014_000000581857.jpg", "id": "000000581857",
     "hash": "9be0c31f5a4477d20c4e9b6a51d3f068"}
    {"set": "refcoco/val", "text": "the lady with the blue shirt who has her back to us"}

The first line says what the file is. Then a line for each image, with the id that a source would give it,
or its perceptual hash as 32 hex digits, or both, and a line for each text; `set` and `image` are for people.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import fsspec

from gritmill.schemas.errors import UserError

HASH = "dct128"
"""Names `stages.dedup.perceptual`'s hash: hashes of another kind would match nothing, or anything."""
MAX_BYTES = 2**29
"""Largest list that is read; some four million images."""

_HEADER = {"evaluation_list": 1, "hash": HASH}
_COCO = re.compile(r"(?:COCO_(?:train|val|test)\d{4}_)?(\d{12})(?:_\d+)?")
_MIXED = re.compile(r".+-(?:COCO_(?:train|val|test)\d{4}_)?(0{6}\d{6})")
_ENDING = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?)$", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{32}")


class EvaluationEntry(NamedTuple):
    """An evaluation image, by id, by hash or by both, or a text.

    >>> Entry("refcoco/val", "COCO_train2014_000000581857.jpg", "000000581857", None, "")
    """

    set: str
    image: str
    """Its file's name; empty if that is not known."""
    id: str
    """Empty if images are not to be told by it."""
    hash: bytes | None
    """The 16 bytes of `stages.dedup.perceptual`."""
    text: str

    @property
    def name(self) -> str:
        """How it is called where it was found."""
        return f"{self.image or self.id or repr(self.text[:60])} of {self.set or 'a list without name'}"


def identity(name: str) -> str:
    """The id of an image from its file's name or its key; of COCO's images always the same one.

    The source `mix` puts the name of a source and a hyphen before it.

    >>> identity("train2014/COCO_train2014_000000581857.jpg"), identity("1007129816.jpg")
    ('000000581857', '1007129816')
    >>> identity("llava-000000581857")
    '000000581857'
    """
    stem = _ENDING.sub("", re.split(r"[\\/]", name)[-1])
    coco = _COCO.fullmatch(stem) or _MIXED.fullmatch(stem)
    return coco[1] if coco else stem


def is_coco(name: str) -> bool:
    """True for the name of a file of COCO, whose number is nobody else's."""
    return bool(_COCO.fullmatch(_ENDING.sub("", re.split(r"[\\/]", name)[-1])))


def dumps(entries: Iterable[EvaluationEntry]) -> bytes:
    """The file of a list."""
    lines = [json.dumps(_HEADER)]
    for entry in entries:
        fields = entry._asdict() | {"hash": entry.hash.hex() if entry.hash else ""}
        lines.append(json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def read(uri: str) -> bytes:
    """The bytes of a list, from a path or a URL. Raises `UserError`."""
    try:
        with fsspec.open(uri, "rb") as file:
            data = bytes(file.read(MAX_BYTES + 1))
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"the list {uri} cannot be read: {error}. `pipeline fingerprint-set` makes one."
        ) from error
    if len(data) > MAX_BYTES:
        raise UserError(f"the list {uri} has more than {MAX_BYTES:,} bytes. Give several smaller ones.")
    return data


def loads(data: bytes, uri: str) -> list[EvaluationEntry]:
    """The entries of a list. Raises `UserError`, which names the line, for what is none."""
    lines = list(_lines(data, uri))
    if not lines or lines[0][1].get("evaluation_list") != _HEADER["evaluation_list"]:
        raise UserError(
            f"{uri} is no list of evaluation data: it must begin with {json.dumps(_HEADER)}. "
            "`pipeline fingerprint-set` makes one of a folder of images or a file of annotations."
        )
    if lines[0][1].get("hash", HASH) != HASH:
        raise UserError(
            f"the hashes of {uri} are of another kind, {lines[0][1]['hash']!r}, and cannot be compared. "
            "Make the list anew with `pipeline fingerprint-set`."
        )
    entries = [_entry(fields, place) for place, fields in lines[1:]]
    if not entries:
        raise UserError(f"the list {uri} is empty. `pipeline fingerprint-set` makes one.")
    return entries


def _lines(data: bytes, uri: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{uri}, line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{place} is no JSON: {error}. Give a list of `pipeline fingerprint-set`."
            ) from error
        if not isinstance(fields, dict):
            raise UserError(f"{place} is no JSON object. Give a list of `pipeline fingerprint-set`.")
        yield place, fields


def _entry(fields: dict[str, Any], place: str) -> EvaluationEntry:
    words = {name: fields.get(name, "") for name in ("set", "image", "id", "hash", "text")}
    for name, value in words.items():
        if not isinstance(value, str):
            raise UserError(f"{place}: {name} is {value!r}, but must be a text.")
    if not (words["id"] or words["hash"] or words["text"]):
        raise UserError(f"{place} has none of id, hash and text, and guards nothing. Give one of them.")
    if words["hash"] and not _HEX.fullmatch(words["hash"]):
        raise UserError(f"{place}: hash {words['hash']!r} is not 32 digits of 0-9a-f.")
    return EvaluationEntry(**words | {"hash": bytes.fromhex(words["hash"]) or None})

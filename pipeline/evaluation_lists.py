"""Makes lists of evaluation data, of a folder of images or of the files that benchmarks are published in."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from gritmill.pipeline.sources.images import MAX_BYTES
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.texts import json_lines, parse_json, read_text
from gritmill.schemas.errors import UserError
from gritmill.stages.contamination.lists import EvaluationEntry, identity, is_coco
from gritmill.stages.dedup.perceptual import perceptual_hash

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_FILE_NAME = ("file_name", "image", "image_path", "filename")
_TEXT = ("question", "text", "caption", "sentence", "sent", "prompt")
_LISTS = ("images", "annotations", "questions", "data")
_AHEAD = 256

Row = dict[str, Any]


@dataclass
class Made:
    """A list's entries, and what of the images could not go into it."""

    entries: list[EvaluationEntry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Why an image has no hash, one sentence each."""
    plain: int = 0
    """Images that show too little to be told from others."""
    missing: int = 0
    """Images of the annotations that were not in the folder."""

    def counts(self) -> str:
        """`1,500 images by id, 1,499 by hash, 0 texts`."""
        found = Counter[str]()
        for entry in self.entries:
            found.update(id=bool(entry.id), hash=bool(entry.hash), text=bool(entry.text))
        return f"{found['id']:,} images by id, {found['hash']:,} by hash, {found['text']:,} texts"


def of_images(folder: str, name: str, names_are_ids: bool) -> Made:
    """All images in and below a folder, by hash, and by id where a name is COCO's or all names are ids.

    Raises `UserError` for a folder without any.
    """
    found = _images(folder)
    entries = (
        EvaluationEntry(name, image, identity(image) if names_are_ids or is_coco(image) else "", None, "")
        for image in found
    )
    return _hashed(entries, found)


def of_annotations(
    path: str, name: str, splits: Collection[str], with_texts: bool, images: str | None
) -> Made:
    """The images that a file is about, by id, and by hash where `images` is their folder; texts if wanted.

    A text file has a name or an id of an image a line, or, `with_texts`, a text. In JSON, JSON lines too,
    file names, ids and texts are found under the names that REFER, COCO, MDETR, VQA, POPE and LLaVA
    use. Raises `UserError` where there are none, and where it has splits and none is chosen.
    """
    rows = list(_rows(path, with_texts))
    there = {str(row["split"]) for row in rows if "split" in row}
    if there and not splits:
        raise UserError(
            f"{path} has the splits {', '.join(sorted(there))}. Choose those that you test on: --split val"
        )
    if unknown := sorted(set(splits) - there):
        raise UserError(f"{path} has no split {unknown[0]!r}, but: {', '.join(sorted(there)) or 'none'}.")
    rows = [row for row in rows if not splits or str(row.get("split")) in splits]
    listed: dict[str, EvaluationEntry] = {}
    texts: dict[str, EvaluationEntry] = {}
    for row in rows:
        title = f"{name}/{row['split']}" if splits else name
        image = _image(row)
        if image:
            listed.setdefault(
                identity(image), EvaluationEntry(title, _plain_name(image), identity(image), None, "")
            )
        for text in _texts(row) if with_texts else ():
            texts.setdefault(text, EvaluationEntry(title, _plain_name(image), "", None, text))
    if not listed and not texts:
        raise UserError(
            f"{path} names no image. Give a name a line, or JSON with file_name, image or image_id."
        )
    made = _with_hashes(list(listed.values()), images) if images else Made(list(listed.values()))
    made.entries += texts.values()
    return made


def _with_hashes(entries: list[EvaluationEntry], folder: str) -> Made:
    by_id = {identity(name): uri for name, uri in _images(folder).items()}
    found = {entry.image or entry.id: by_id[entry.id] for entry in entries if entry.id in by_id}
    if not found:
        raise UserError(f"{folder} has none of the images that are listed. Give the folder that they lie in.")
    made = _hashed(entries, found)
    made.missing = len(entries) - len(found)
    return made


def _hashed(entries: Iterable[EvaluationEntry], uris: dict[str, str]) -> Made:
    """Entries with the hashes of their images; an image that has none stays if it has an id."""
    made = Made()
    with ThreadPoolExecutor() as pool:  # decoding runs beside Python
        waiting = iter(entries)
        while some := list(islice(waiting, _AHEAD)):
            hashes = pool.map(_hash_or_reason, (uris.get(entry.image or entry.id) for entry in some))
            for entry, hashed in zip(some, hashes, strict=True):
                if isinstance(hashed, str):
                    made.unreadable.append(f"{entry.image}: {hashed}")
                made.plain += hashed == b""
                known = entry._replace(hash=hashed if isinstance(hashed, bytes) and hashed else None)
                if known.id or known.hash:
                    made.entries.append(known)
    return made


def _hash_or_reason(uri: str | None) -> bytes | str | None:
    """A hash; no bytes where there is too little to see; None without an image; why it cannot be read."""
    if uri is None:
        return None
    try:
        return perceptual_hash(files.read(uri, MAX_BYTES)) or b""
    except Exception as error:  # broken bytes make Pillow's plugins raise nearly anything
        return str(error) or type(error).__name__


def _images(folder: str) -> dict[str, str]:
    """The images in and below a folder: {name in it: URI}. Raises `UserError` for none."""
    found = {name: file.uri for name, file in files.walk(folder).items() if name.lower().endswith(_SUFFIXES)}
    if not found:
        raise UserError(f"{folder} has no images. Give a folder with {', '.join(_SUFFIXES[:4])} files.")
    return found


def _rows(path: str, with_texts: bool) -> Iterator[Row]:
    text = read_text(path)
    if path.endswith((".json", ".jsonl")):
        yield from _json_rows(text, path)
    else:
        what = "text" if with_texts else "image"
        yield from ({what: line.strip()} for line in text.split("\n") if line.strip())


def _json_rows(text: str, path: str) -> Iterator[Row]:
    if path.endswith(".jsonl"):
        found: Any = [row for _, row in json_lines(text, path)]
    else:
        found = parse_json(text, path)
    lists = {name: found.get(name) for name in _LISTS} if isinstance(found, dict) else {"": found}
    for name, rows in lists.items():
        # Numbers of images are those of the list beside it, which are MDETR's own and not COCO's.
        hidden = {"image_id"} if name != "images" and lists.get("images") else set()
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                yield {field: value for field, value in row.items() if field not in hidden}


def _image(row: Row) -> str:
    """The name or id of the image that a row is about, of which a number is one of COCO's; empty for none."""
    for name in _FILE_NAME:
        if isinstance(value := row.get(name), str) and value:
            return value
    found = row.get("image_id")
    return f"{found:012d}" if isinstance(found, int) and 0 <= found < 10**12 else str(found or "")


def _plain_name(image: str) -> str:
    """The file's name; REFER puts the number of an object behind it."""
    name = PurePosixPath(image.replace("\\", "/")).name
    prefix, _, _ = name.partition(identity(name))
    return f"{prefix}{identity(name)}{PurePosixPath(name).suffix}" if is_coco(name) else name


def _texts(row: Row) -> Iterator[str]:
    sentences = row.get("sentences")
    inner = [entry for entry in sentences if isinstance(entry, dict)] if isinstance(sentences, list) else []
    for place in (row, *inner):
        yield from (place[name] for name in _TEXT if isinstance(place.get(name), str) and place[name].strip())

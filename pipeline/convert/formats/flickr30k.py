"""`flickr30k`: Flickr30k Entities: sentences with marked phrases, and their boxes as XML.

    Sentences/36979.txt             its sentences, as in `schemas.flickr30k`
    Annotations/36979.xml           its boxes
    flickr30k-images/36979.jpg
    train.txt, val.txt, test.txt    which image is in which split, an id a line

A sentence is a sample, `36979_0`, its marked phrases are the noun chunks. Phrases that the XML calls not
visible have no box and are no noun chunks.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from gritmill.pipeline.convert.groundings import usable
from gritmill.pipeline.convert.reading import Images, image_folders
from gritmill.pipeline.convert.sample import HUMAN, Losses, Sample, Unusable, make_sample
from gritmill.pipeline.convert.writing import Pictures, picture_name
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.foreign.flickr30k import MAX_FILE, parse_annotation, parse_sentence
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Span
from gritmill.schemas.errors import UserError

LOSES = {
    "masks": "there are none",
    "key": "becomes the image's number and the sentence's",
    "caption": "white space at phrases and line ends changes, square brackets become round",
    "captions": "those of an image's samples, each with its white space changed",
    "noun_chunks": "of two that overlap, the later; offsets follow the white space",
    "ref_exps": "there are only noun chunks",
    "boxes": "whole pixels",
    "scores": "not said; they come back as 1.0",
    "models": "boxes do not say which model found them",
    "phrases": "boxes do not say what the model was asked for",
    "image_id": "becomes a plain file name",
    "source": "where the image was taken from is not said",
    "image_format": "told by the file's extension alone, and that is always jpg",
    "metadata": "there is none but the phrases' types",
    "conversations": "there are none",
    "provenance": "there is none",
    "annotations": "boxes whose label is no part of the caption cannot be said",
}
IMAGES = "flickr30k-images"
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_BRACKETS = str.maketrans("[]", "()")


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """An image at a time; the names of all are in memory."""
    found = Images(image_folders(path, images, IMAGES))
    splits = {
        line.strip(): split
        for split, name in _SPLITS.items()
        for line in _read(posixpath.join(path, f"{name}.txt")).splitlines()
    }
    names = files.children(posixpath.join(path, "Sentences"))
    if not names:
        raise UserError(f"{path} has no folder Sentences; give the folder of Flickr30k Entities.")
    for name in names:
        id_ = name.removesuffix(".txt")
        try:
            size, boxes, unboxed = parse_annotation(_read(posixpath.join(path, "Annotations", f"{id_}.xml")))
        except ValueError as error:
            losses.row(id_, str(error))
            continue
        where = found.find(f"{id_}.jpg")
        lines = [line for line in _read(posixpath.join(path, "Sentences", name)).splitlines() if line.strip()]
        marked = [parse_sentence(line) for line in lines]
        for number, (caption, phrases) in enumerate(marked):
            key = f"{id_}_{number}"
            grounded = []
            for phrase in phrases:
                if phrase.entity not in boxes and phrase.entity not in unboxed:
                    losses.part(key, "a phrase of which the XML says nothing")
                for told in boxes.get(phrase.entity, []):
                    try:
                        box = usable(told)
                    except ValueError as error:
                        losses.part(key, str(error))
                        continue
                    asked = phrase.span.of(caption)
                    grounded.append(GroundedBox(phrase.span, box, 1.0, HUMAN, asked))
            try:
                yield make_sample(
                    key,
                    caption,
                    size,
                    where,
                    name=f"{id_}.jpg",
                    image_id=id_,
                    split=splits.get(id_, "train"),
                    captions=[text for text, _ in marked],
                    metadata={"entities": [[p.span.start, p.entity, *p.types] for p in phrases]},
                    boxes=grounded,
                )
            except Unusable as error:
                losses.row(key, str(error))


def recognises(path: str) -> bool:
    """True if a folder has this layout."""
    return all(files.exists(posixpath.join(path, name)) for name in ("Sentences", "Annotations"))


def _read(path: str) -> str:
    """A text file; empty if there is none, or none that is text."""
    try:
        return files.read(path, MAX_FILE).decode() if files.stat(path) else ""
    except (OSError, UnicodeDecodeError):
        return ""


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """Samples of one image that follow each other share its files; returns how many samples were written."""
    written = 0
    pictures = Pictures(folder / IMAGES, losses, copy_images)
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir()
    entity = 0
    for _, group in groupby(samples, key=lambda sample: sample.record["image_id"]):
        lines: list[str] = []
        objects: list[str] = []
        first: Sample | None = None
        for sample in group:
            key = sample.record["key"]
            stem = _stem(sample)
            sentences = folder / "Sentences" / f"{stem}.txt"
            if sentences.exists():
                losses.row(key, "its image came before; sort the samples by image")
            elif not sample.record["caption"].strip():
                losses.row(key, "it has no caption")
            elif not (sample.record["width"] and sample.record["height"]):
                losses.row(key, "the size of its image is not known")
            else:
                first = first or sample
                entity = _add(sample, lines, objects, entity, losses)
        if first is None:
            continue
        written += len(lines)
        pictures.put(first, f"{stem}.jpg")
        sentences.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / "Annotations" / f"{stem}.xml").write_text(_xml(stem, first, objects), encoding="utf-8")
        split = member_stem(first.record["split"])
        with (folder / f"{_SPLITS.get(split, split)}.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stem}\n")
    return written


def _add(sample: Sample, lines: list[str], objects: list[str], entity: int, losses: Losses) -> int:
    """Appends a sentence and its boxes; entities are counted on from `entity`."""
    record = sample.record
    size = record["width"], record["height"]
    types = _types(record["metadata"])
    by_span: dict[Span, list[Box]] = {}
    for grounded in sample.grounded:
        by_span.setdefault(grounded.span, []).append(grounded.box)
    for _ in sample.annotations:
        losses.part(record["key"], "a box whose label is no part of the caption")
    caption = record["caption"].translate(_BRACKETS)
    pieces: list[str] = []
    end = 0
    for span in sorted(by_span):
        if span.start < end:
            losses.part(record["key"], "a noun chunk that overlaps another")
            continue
        words = " ".join(span.of(caption).split())
        if not words:
            losses.part(record["key"], "a noun chunk without words")
            continue
        entity += 1
        kind = "/".join(types.get(span.start, ["other"]))
        pieces += (caption[end : span.start], f"[/EN#{entity}/{kind} {words}]")
        end = span.end
        objects += [_object(entity, box, size) for box in by_span[span]]
    pieces.append(caption[end:])
    # The format takes sentences apart at white space, so that a mark must begin and end at some.
    lines.append(" ".join(" ".join(pieces).split()))
    return entity


def _object(entity: int, box: Box, size: tuple[int, int]) -> str:
    x1, y1, x2, y2 = (round(v) for v in box.to_pixels(*size))
    # A box of less than a pixel keeps one.
    corners = {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": max(x2, x1 + 1), "ymax": max(y2, y1 + 1)}
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in corners.items())
    return f"  <object><name>{entity}</name><bndbox>{inner}</bndbox></object>\n"


def _xml(stem: str, sample: Sample, objects: list[str]) -> str:
    width, height = sample.record["width"], sample.record["height"]
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    name = escape(f"{stem}.jpg")
    return f"<annotation>\n  <filename>{name}</filename>\n  {size}\n{''.join(objects)}</annotation>\n"


def _types(metadata: str) -> dict[int, list[str]]:
    """The types of the phrases that begin at a character, where the data came in this format."""
    entities = json.loads(metadata).get("entities")
    found: dict[int, list[str]] = {}
    for entry in entities if isinstance(entities, list) else []:
        match entry:
            case [int(start), str(), str(first), *rest] if all(isinstance(t, str) for t in rest):
                found[start] = [re.sub(r"[\s/\[\]]", "_", t) or "other" for t in [first, *rest]]
    return found


def _stem(sample: Sample) -> str:
    """What an image's files are called before the dot; there are no folders."""
    return posixpath.splitext(picture_name(sample))[0].replace("/", "%2F")

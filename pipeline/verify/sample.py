"""What `verify` checks in a single sample: its images, its texts, its spans and boxes."""

import hashlib
import json
import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from gritmill.pipeline.storage.samples import IMAGES, TEXTS
from gritmill.pipeline.verify.fields import field_mistakes, is_ours
from gritmill.pipeline.verify.talk import talk_mistakes
from gritmill.schemas.boxes import intersection
from gritmill.schemas.images import ImageTooLarge, decode, open_header
from gritmill.schemas.masks import Mask
from gritmill.schemas.records import Region


class Problem(NamedTuple):
    """Something wrong with a sample; `kind` is one of `KINDS`."""

    kind: str
    message: str


class _Picture(NamedTuple):
    format: str
    size: tuple[int, int]
    """Width and height as a viewer sees them."""
    stored_size: tuple[int, int]
    """Before EXIF orientation."""


class SampleCheck:
    """Takes a sample's members one by one, keeps what they say of each other, forgets their bytes."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.members: list[str] = []
        """Extensions seen so far."""
        self.images = 0
        self.regions = 0
        self.image_digest = b""
        """Of the bytes of its images, in their order."""
        self._pictures: list[_Picture] = []
        self._captions: dict[str, str] = {}
        self._record: dict[str, Any] = {}

    @property
    def image_id(self) -> str:
        """As the record has it; empty if it has none."""
        return self._text("image_id")

    @property
    def split(self) -> str:
        """As a record of ours has it; empty for others."""
        return self._text("split") if is_ours(self._record) else ""

    def _text(self, name: str) -> str:
        value = self._record.get(name)
        return value if isinstance(value, str) else ""

    def member(self, extension: str, data: bytes) -> Iterator[Problem]:
        """Checks one member by itself. `extension` is all after the name's first dot, in lower case."""
        kind = extension.rpartition(".")[2]
        if kind in IMAGES:
            self.images += 1
            self.image_digest = hashlib.blake2b(self.image_digest + data, digest_size=8).digest()
            yield from self._image(extension, data)
        elif kind in TEXTS or kind == "json":
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                yield Problem("not_utf8", f".{extension}: {error}")
                return
            if kind == "json":
                yield from self._json(extension, text)
            else:
                self._captions[extension] = text

    def finish(self) -> Iterator[Problem]:
        """Checks the members against each other, once all are there."""
        caption = self._record.get("caption")
        texts = [self._captions[e] for e in ("txt", "text", "caption") if e in self._captions]
        if not isinstance(caption, str):
            caption = texts[0] if texts else None
        elif texts and texts[0] != caption:
            yield Problem("captions_differ", "the caption in .txt is not the one in .json")
        if caption is not None and not caption.strip():
            yield Problem("empty_caption", "nothing but white space")
        if len(self._pictures) == 1:
            yield from self._described(self._pictures[0])
        yield from self._grounding(caption)
        if is_ours(self._record):
            for mistake in field_mistakes(self._record):
                yield Problem("wrong_field", mistake)
        talk = self._record.get("conversations")
        if isinstance(talk, str):  # a list of turns, as LLaVA's files have, is left alone
            for kind, message in talk_mistakes(talk):
                yield Problem(kind, message)

    def _image(self, extension: str, data: bytes) -> Iterator[Problem]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = open_header(data)
                picture = _Picture((header.format or "").lower(), decode(data).size, header.size)
        except ImageTooLarge as error:
            yield Problem("image_too_large", f".{extension}: {error}")
        except Exception as error:  # codecs raise whatever they like at hostile bytes
            yield Problem("image_undecodable", f".{extension}: {error}")
        else:
            self._pictures.append(picture)

    def _json(self, extension: str, text: str) -> Iterator[Problem]:
        constants: list[str] = []

        def keep(constant: str) -> float:
            constants.append(constant)
            return float(constant)

        try:
            value = json.loads(text, parse_constant=keep)
        except (ValueError, RecursionError) as error:
            yield Problem("not_json", f".{extension}: {error}")
            return
        if constants:
            yield Problem("json_constant", f".{extension} holds {constants[0]}")
        if extension == "json" and isinstance(value, dict):
            self._record = value

    def _described(self, picture: _Picture) -> Iterator[Problem]:
        said = (self._record.get("width"), self._record.get("height"))
        if None not in said and said != picture.size:
            seen = "x".join(map(str, picture.size))
            message = f"the record says {said[0]}x{said[1]}, the image is {seen}"
            if said == picture.stored_size:
                yield Problem("size_before_orientation", f"{message} after EXIF orientation")
            else:
                yield Problem("wrong_size", message)
        named = self._record.get("image_format")
        if named is not None and named != picture.format and (named, picture.format) != ("jpeg", "mpo"):
            yield Problem("wrong_format", f"the record says {named}, the image is {picture.format}")

    def _grounding(self, caption: str | None) -> Iterator[Problem]:
        found: dict[str, list[Region | None]] = {}
        for field in ("noun_chunks", "ref_exps"):
            items = self._record.get(field)
            if items is None:
                continue
            if not isinstance(items, list):
                yield Problem("malformed_region", f"{field} is not a list")
                continue
            found[field] = []
            for i, item in enumerate(items):
                place = f"{field}[{i}]"
                try:
                    region = Region.from_item(item)
                except ValueError as error:
                    found[field].append(None)
                    yield Problem("malformed_region", f"{place}: {error}")
                else:
                    found[field].append(region)
                    yield from _region(place, region, caption)
        chunks, expressions = found.get("noun_chunks"), found.get("ref_exps")
        self.regions = len(chunks or ())
        if chunks is not None and expressions is not None:
            yield from _parallel(chunks, expressions)
        provenance = self._record.get("boxes")
        if chunks is not None and isinstance(provenance, list) and len(provenance) != len(chunks):
            yield Problem("not_parallel", f"{len(chunks)} noun_chunks but {len(provenance)} boxes")
        yield from self._masks(chunks or [])

    def _masks(self, chunks: list[Region | None]) -> Iterator[Problem]:
        items = self._record.get("masks")
        if items is None:
            return
        if not isinstance(items, list) or len(items) != len(chunks):
            count = len(items) if isinstance(items, list) else "no list of"
            yield Problem("not_parallel", f"{len(chunks)} noun_chunks but {count} masks")
            return
        said = (self._record.get("width"), self._record.get("height"))
        for i, (item, region) in enumerate(zip(items, chunks, strict=True)):
            try:
                mask = Mask.from_item(item)
            except ValueError as error:
                yield Problem("malformed_mask", f"masks[{i}]: {error}")
                continue
            if None not in said and said != (mask.width, mask.height):
                size = f"{mask.width}x{mask.height}, the image {said[0]}x{said[1]}"
                yield Problem("malformed_mask", f"masks[{i}] is {size}")
            elif region and (around := mask.box) and not intersection(region.box, around):
                place = f"lies in {list(around)}, its box is {list(region.box)}"
                yield Problem("mask_elsewhere", f"masks[{i}] {place}")


def _region(place: str, region: Region, caption: str | None) -> Iterator[Problem]:
    (start, end), box, score = region
    if caption is None:
        yield Problem("span_outside", f"{place}: [{start}, {end}), but the sample has no caption")
    elif not 0 <= start < end <= len(caption):
        yield Problem("span_outside", f"{place}: [{start}, {end}) of {len(caption)} characters")
    if not all(map(math.isfinite, box)):
        yield Problem("box_not_finite", f"{place}: {list(box)}")
    elif not all(0 <= v <= 1 for v in box):
        yield Problem("box_outside", f"{place}: {list(box)}")
    elif not box.is_valid:
        yield Problem("box_without_area", f"{place}: {list(box)}")
    if not math.isfinite(score):
        yield Problem("score_not_finite", f"{place}: {score}")


def _parallel(chunks: list[Region | None], expressions: list[Region | None]) -> Iterator[Problem]:
    if len(chunks) != len(expressions):
        yield Problem("not_parallel", f"{len(chunks)} noun_chunks but {len(expressions)} ref_exps")
        return
    for i, (chunk, expression) in enumerate(zip(chunks, expressions, strict=True)):
        if chunk and expression and chunk.box != expression.box:
            yield Problem("not_parallel", f"noun_chunks[{i}] and ref_exps[{i}] have different boxes")
            return

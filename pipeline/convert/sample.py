"""What travels between formats: a record, and where its image lies."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.files import is_clean
from pipeline.images import StoredImage
from pipeline.output.formats import EXTENSIONS
from pipeline.sources.captions import MAX_CAPTION, metadata_json
from schemas import conversations
from schemas.boxes import Box
from schemas.columns import Annotation, GroundedBox, ImageRef, Reject, Span
from schemas.conversations import Conversation
from schemas.records import Record, Region, to_record

HUMAN = "annotations"
"""The model of boxes that a format brings without saying whose they are."""
NAMED = 5
"""How many rows a summary names for each reason."""
MAX_KEY = 1000

_FORMATS = {extension: name for name, extension in EXTENSIONS.items()} | {"jpeg": "jpeg", "tif": "tiff"}


class Sample(NamedTuple):
    """A record as `schemas/records.py` has it, and its image.

    >>> Sample({"key": "139", "caption": "a dog", ...}, ImageRef("photos/139.jpg", 0, 0))

    Boxes whose label is no part of the caption, such as COCO's instances, stand in
    `record["annotations"]`: `[{"label": "dog", "box": [x1, y1, x2, y2], "crowd": False, "polygons": []}]`.
    `width` and `height` are 0 where the format does not say them.
    """

    record: Record
    where: ImageRef | None
    """Where the image's bytes lie; None where it is not found. What the record calls `source` is where
    the image came from, and may be long gone."""

    @property
    def image(self) -> bytes | None:
        """The encoded image, read now; None if it cannot be had."""
        try:
            return StoredImage(self.where).read() if self.where else None
        except OSError:
            return None

    @property
    def grounded(self) -> list[GroundedBox]:
        """The boxes of the caption's noun chunks, parallel to `expressions`."""
        regions = map(Region.from_item, self.record.get("noun_chunks") or [])
        caption, said = self.record["caption"], self.record.get("boxes") or []
        found = []
        for i, (span, box, score) in enumerate(regions):
            told = said[i] if i < len(said) else {"model": HUMAN, "phrase": span.of(caption)}
            found.append(GroundedBox(span, box, score, told["model"], told["phrase"]))
        return found

    @property
    def expressions(self) -> list[Span]:
        """The referring expression of each box; its noun chunk where the record has none."""
        items = self.record.get("ref_exps") or self.record.get("noun_chunks") or []
        return [Region.from_item(item).span for item in items]

    @property
    def annotations(self) -> list[Annotation]:
        """The boxes whose label is no part of the caption."""
        return [
            Annotation(a["label"], Box(*a["box"]), a["crowd"], a["polygons"])
            for a in self.record.get("annotations") or []
        ]

    @property
    def conversations(self) -> list[Conversation]:
        """The conversations about the image; none where the record has no such field."""
        return conversations.from_json(self.record.get("conversations") or "[]")

    @property
    def extension(self) -> str:
        """What a file of the image is best called: `jpg`, without a dot."""
        return EXTENSIONS.get(self.record.get("image_format", ""), "jpg")


class Losses:
    """What a conversion had to leave out, counted by reason, the first rows of each by name.

    >>> losses.row("000139", "no caption")        # the whole row is gone
    >>> losses.part("000139", "a box without area")  # the row is there without it
    """

    def __init__(self, tell: Callable[[str, str, str], None] | None = None) -> None:
        """`tell(kind, name, reason)` hears of every one, `kind` being `row` or `part`."""
        self.rows: Counter[str] = Counter()
        self.parts: Counter[str] = Counter()
        self.names: dict[tuple[str, str], list[str]] = {}
        self._tell = tell

    def row(self, name: str, reason: str) -> None:
        self.rows[reason] += 1
        self._note("row", name, reason)

    def part(self, name: str, reason: str) -> None:
        self.parts[reason] += 1
        self._note("part", name, reason)

    def _note(self, kind: str, name: str, reason: str) -> None:
        named = self.names.setdefault((kind, reason), [])
        if len(named) < NAMED:
            named.append(name)
        if self._tell:
            self._tell(kind, name, reason)


class Unusable(ValueError):
    """A row that is no sample; the message is the reason."""


def make_sample(
    key: str,
    caption: object,
    size: tuple[int, int],
    where: ImageRef | None,
    *,
    name: str = "",
    extension: str = "",
    image_id: str = "",
    split: str = "train",
    captions: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    boxes: Sequence[GroundedBox] | None = None,
    ref_exps: Sequence[Span] | None = None,
    annotations: Sequence[Annotation] | None = None,
    told: Sequence[Conversation] | None = None,
) -> Sample:
    """A sample of what a foreign row says. `name` is what the row calls its image, found or not;
    `extension` what tells its format, where that is not the name's.

    Raises `Unusable` for a key or caption that is no text.
    """
    if not isinstance(caption, str) or not is_clean(caption) or len(caption) > MAX_CAPTION:
        raise Unusable("the caption is no text")
    if not 0 < len(key) <= MAX_KEY or not is_clean(key):
        raise Unusable("the key is no name")
    extra = metadata_json(metadata or {})
    if isinstance(extra, Reject):
        raise Unusable("the metadata cannot be written as JSON")
    suffixes = (extension, *(text.rpartition(".")[2] for text in (where.uri if where else "", name)))
    columns: dict[str, Any] = {
        "key": key,
        "caption": caption,
        "width": size[0],
        "height": size[1],
        "image_id": image_id if image_id and is_clean(image_id) else key,
        "split": split,
        "image_format": next((_FORMATS[s.lower()] for s in suffixes if s.lower() in _FORMATS), "jpeg"),
        "image": StoredImage(where or ImageRef(name if is_clean(name) else "", 0, 0)),
        "captions": [text for text in captions if is_clean(text)],
        "metadata": extra,
    }
    if boxes is not None:
        columns["boxes"] = boxes
        columns["ref_exps"] = [box.span for box in boxes] if ref_exps is None else ref_exps
    if told is not None:
        columns["conversations"] = told
    record = to_record(columns)
    if not caption:
        record["captions"] = []
    if annotations is not None:
        record["annotations"] = [a._asdict() | {"box": list(a.box)} for a in annotations]
    return Sample(record, where)


FIELDS = {
    "image": "the image's bytes",
    "key": "the sample's name",
    "caption": "the caption, character for character",
    "captions": "all captions of the image",
    "size": "width and height",
    "noun_chunks": "the spans of the noun chunks",
    "ref_exps": "the spans of the referring expressions",
    "boxes": "the coordinates of the boxes",
    "scores": "the raw score of each box",
    "models": "which model found each box",
    "phrases": "what the model was asked for",
    "image_id": "which samples show one image",
    "split": "train, validation or test",
    "image_format": "jpeg, png, ...",
    "source": "where the image was taken from",
    "metadata": "whatever else the source said",
    "conversations": "conversations about the image",
    "provenance": "which language model wrote them",
    "annotations": "boxes whose label is no part of the caption",
}
"""What there is to lose of a sample."""

RECORD_FIELDS = (
    "key",
    "caption",
    "width",
    "height",
    "noun_chunks",
    "ref_exps",
    "boxes",
    "image_id",
    "split",
    "image_format",
    "source",
    "captions",
    "metadata",
    "conversations",
    "provenance",
    "annotations",
)
"""Everything that a record may say; what a foreign one says beyond them goes to its metadata."""


def from_record(
    raw: Mapping[str, Any], stem: str, where: ImageRef | None, losses: Losses, extension: str = ""
) -> Sample:
    """A record of ours or one of GRIT's, whoever wrote it -> a sample; what is malformed in it is lost.

    `stem` is its key if it says none, `extension` that of its image. Raises `Unusable` if it is no
    sample at all.
    """
    caption = raw.get("caption")
    key = raw["key"] if isinstance(raw.get("key"), str) and raw["key"] else stem
    if not isinstance(caption, str):
        raise Unusable("the caption is no text")
    width, height = (raw.get(name) for name in ("width", "height"))
    is_sized = isinstance(width, int) and isinstance(height, int) and min(width, height) > 0
    boxes, spans = None, None
    if raw.get("noun_chunks") is not None:
        boxes, spans = read_regions(
            caption, raw["noun_chunks"], raw.get("ref_exps"), raw.get("boxes"), key, losses
        )
    sample = make_sample(
        key,
        caption,
        (width, height) if is_sized else (0, 0),  # type: ignore[arg-type]
        where,
        name=_text(raw, "url"),
        extension=extension,
        image_id=_text(raw, "image_id"),
        split=_text(raw, "split") or "train",
        captions=[text for text in raw.get("captions") or [] if isinstance(text, str)],
        metadata=_metadata(raw) | {name: raw[name] for name in raw if name not in RECORD_FIELDS},
        boxes=boxes,
        ref_exps=spans,
        annotations=read_annotations(raw.get("annotations"), key, losses),
        told=read_conversations(raw.get("conversations"), key, losses),
    )
    record = sample.record
    if _text(raw, "image_format"):
        record["image_format"] = raw["image_format"]
    source = raw.get("source")
    if isinstance(source, Mapping) and set(source) == {"uri", "offset", "length"}:
        record["source"] = dict(source)
    if isinstance(raw.get("provenance"), list):
        record["provenance"] = raw["provenance"]
    return sample


def read_annotations(value: object, key: str, losses: Losses) -> list[Annotation] | None:
    """`annotations` of a record; None where it has none."""
    if not isinstance(value, list):
        return None
    found = []
    for entry in value:
        try:
            label, box = entry["label"], usable(Box(*map(float, entry["box"])))
            polygons = [[float(v) for v in outline] for outline in entry.get("polygons") or []]
            if not isinstance(label, str) or not all(
                math.isfinite(v) for outline in polygons for v in outline
            ):
                raise ValueError("an annotation that is none")
        except (TypeError, KeyError, ValueError, OverflowError):
            losses.part(key, "an annotation that is none")
            continue
        found.append(Annotation(label, box, bool(entry.get("crowd")), polygons))
    return found


def read_conversations(value: object, key: str, losses: Losses) -> list[Conversation] | None:
    """Our `conversations`, a JSON string; None where the record has none."""
    if not isinstance(value, str):
        return None
    try:
        told = conversations.from_json(value)
    except ValueError:
        losses.part(key, "conversations that are none")
        return None
    kept = [each for each in told if not next(conversations.mistakes(each), None)]
    for _ in range(len(told) - len(kept)):
        losses.part(key, "a conversation that is none")
    return kept


def _metadata(raw: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = json.loads(raw.get("metadata") or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def read_regions(
    caption: str, chunks: object, expressions: object, boxes: object, key: str, losses: Losses
) -> tuple[list[GroundedBox], list[Span]]:
    """GRIT's `noun_chunks` and `ref_exps`, and our `boxes`, checked; entries that are none are lost."""
    items = chunks if isinstance(chunks, Sequence) and not isinstance(chunks, str) else []
    longer = expressions if isinstance(expressions, Sequence) and not isinstance(expressions, str) else []
    said = [entry if isinstance(entry, Mapping) else {} for entry in boxes] if isinstance(boxes, list) else []
    said = said if len(said) == len(items) else [{}] * len(items)
    if longer and len(longer) != len(items):
        losses.part(key, "ref_exps that are not parallel to noun_chunks")
        longer = []
    grounded: list[GroundedBox] = []
    spans: list[Span] = []
    for i, item in enumerate(items):
        try:
            region = checked(Region.from_item(item), caption)
            expression = checked(Region.from_item(longer[i]), caption).span if longer else region.span
        except ValueError as error:
            losses.part(key, str(error))
            continue
        model, phrase = said[i].get("model"), said[i].get("phrase")
        grounded.append(
            GroundedBox(
                region.span,
                region.box,
                region.score,
                model if isinstance(model, str) else HUMAN,
                phrase if isinstance(phrase, str) else region.span.of(caption),
            )
        )
        spans.append(expression)
    return grounded, spans


def checked(region: Region, caption: str) -> Region:
    """The region, its box clipped to the image. Raises `ValueError` for one that is none."""
    span, box, score = region
    if not 0 <= span.start < span.end <= len(caption):
        raise ValueError("a span outside the caption")
    if not math.isfinite(score):
        raise ValueError("a score that is no number")
    return Region(span, usable(box), score)


def usable(box: Box) -> Box:
    """The part of a box that lies in the image; itself where all does. Raises `ValueError` if none does."""
    if box.is_valid:
        return box
    if not all(abs(v) < 1e6 for v in box):  # not for NaN
        raise ValueError("a box that is no numbers")
    clipped = box.clipped()
    if not clipped.is_valid:
        raise ValueError("a box outside the image or without area")
    return clipped

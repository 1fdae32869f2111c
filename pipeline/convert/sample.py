"""What travels between formats: a record, and where its image lies."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gritmill.pipeline.output.formats import EXTENSIONS
from gritmill.pipeline.sources.captions import MAX_CAPTION, metadata_json
from gritmill.pipeline.sources.images import StoredImage
from gritmill.pipeline.storage.files import is_clean
from gritmill.schemas import conversations
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Annotation, GroundedBox, ImageRef, Reject, Span
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.masks import Mask
from gritmill.schemas.public import without_secrets
from gritmill.schemas.records import Record, Region, to_json, to_record

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
        return conversations.of_record(self.record)

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
        self._note("row", self.rows, *map(without_secrets, (name, reason)))

    def part(self, name: str, reason: str) -> None:
        self._note("part", self.parts, *map(without_secrets, (name, reason)))

    def _note(self, kind: str, counts: Counter[str], name: str, reason: str) -> None:
        counts[reason] += 1
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
    masks: Sequence[Mask] | None = None,
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
    if masks is not None:
        columns["masks"] = masks
    if told is not None:
        columns["conversations"] = told
    record = to_record(columns)
    if not caption:
        record["captions"] = []
    if annotations is not None:
        record["annotations"] = [a._asdict() | {"box": list(a.box)} for a in annotations]
    try:
        to_json(record)
    except ValueError as error:  # half a surrogate pair, for one
        raise Unusable("a text that is no Unicode") from error
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
    "masks": "the pixels of each box's region",
    "models": "which model found each box",
    "phrases": "what the model was asked for",
    "image_id": "which samples show one image",
    "split": "train, validation or test",
    "image_format": "jpeg, png, ...",
    "source": "where the image was taken from",
    "metadata": "whatever else the source said",
    "conversations": "conversations about the image",
    "provenance": "which stage made them, with which language model or templates",
    "annotations": "boxes whose label is no part of the caption",
}
"""What there is to lose of a sample."""

"""From an image and its captions to samples, the same way in every source that reads files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.keys import safe_key
from gritmill.pipeline.storage.files import is_clean
from gritmill.schemas.columns import Columns, ImageRef, Reject

MAX_CAPTION = 2**20
"""Longest caption that is taken in, in bytes or characters: longer ones are no captions."""

MAX_DEPTH = 50
"""Deepest nesting of metadata. Python's own limit depends on who calls, which results must not."""


class CaptionedSource(Source):
    """A source of images with captions."""

    per: Literal["caption", "image"] = "caption"
    """`caption` makes a sample of each caption of an image, `image` one sample of each image."""
    choose: Literal["first", "longest", "seeded"] = "first"
    """Which caption becomes the sample's where there is one sample an image."""
    seed: int = 0
    """Changes what `choose: seeded` takes."""


class GrowingRows:
    """The rows of a part as they grow.

    With `per: caption` the key of a sample is the image's key, followed by `_` and the caption's
    number where the image has several. `captions` holds all that are usable, exactly as given.

    >>> samples.add("000000139", ImageRef("139.jpg", 0, 16523), ["a dog", "two dogs"])
    >>> samples.columns["key"]
    ['000000139_0', '000000139_1']
    """

    def __init__(self, source: CaptionedSource) -> None:
        self.columns: Columns = {name: [] for name in source.provides()}
        self._source = source
        self._keys: set[str] = set()

    def add(
        self,
        name: str,
        image: ImageRef | Reject,
        captions: Sequence[object],
        metadata: Mapping[str, Any] | Reject | None = None,
        image_id: str | None = None,
        **more: Any,
    ) -> None:
        """The samples of an image, whose key is made of `name`.

        A caption may be anything: what is no usable text becomes a `Reject`. `image_id` is needed
        where one image comes under several names.
        """
        key = safe_key(name)
        if self._is_taken(key):
            image = Reject("duplicate_key", key)
        checked = [_checked(caption) for caption in captions]
        usable = [caption for caption in checked if isinstance(caption, str)]
        if self._source.per == "image" and usable:
            checked = [self._choice(key, usable)]
        elif self._source.per == "image" or not checked:
            checked = checked[:1] or [Reject("missing_caption")]
        row = {
            "image_id": image_id or key,
            "captions": usable,
            "metadata": metadata if isinstance(metadata, Reject) else metadata_json(metadata or {}),
            **more,
        }
        for number, caption in enumerate(checked):
            sample = f"{key}_{number}" if len(checked) > 1 else key
            twice = sample != key and self._is_taken(sample)
            found = Reject("duplicate_key", sample) if twice else image
            self._append(row | {"key": sample, "image": found, "caption": caption})

    def reject(self, name: str, reason: Reject) -> None:
        """A row for something that is no sample at all, such as the rest of a broken file."""
        key = safe_key(name)
        self._append({"key": key, "image_id": key, "image": reason, "caption": "", "metadata": "{}"})

    def _append(self, row: Mapping[str, Any]) -> None:
        for name, column in self.columns.items():
            column.append(row.get(name, []))

    def _is_taken(self, key: str) -> bool:
        taken = key in self._keys
        self._keys.add(key)
        return taken

    def _choice(self, key: str, captions: list[str]) -> str:
        if self._source.choose == "longest":
            return max(captions, key=len)
        if self._source.choose == "seeded":
            digest = hashlib.sha256(f"{self._source.seed}:{key}".encode()).digest()
            return captions[int.from_bytes(digest[:8], "big") % len(captions)]
        return captions[0]


def as_captions(value: object) -> list[object]:
    """What a field holds, as a list: a text is one caption, a list several, nothing none."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def metadata_json(values: Mapping[str, Any]) -> str | Reject:
    """A JSON object that any JSON reader takes: sorted, no NaN, no half surrogate pairs."""
    if _is_deep(values):
        return Reject("bad_json", f"nested more than {MAX_DEPTH} deep", MAX_DEPTH)
    text = _encode(values)
    if "NaN" in text or "Infinity" in text:
        text = _encode(json.loads(text, parse_constant=lambda _: None))
    return text.encode("utf-8", "replace").decode()


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str).encode


def json_object(data: bytes | str) -> dict[str, Any] | Reject:
    """Parses a JSON object that may hold anything, or nothing of the kind."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Reject("bad_json", ascii(str(error))[1:-1][:200])
    if not isinstance(value, dict):
        return Reject("bad_json", type(value).__name__, "object")
    return value


def _is_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, Mapping):
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return False
        level = below
    return True


def _checked(caption: object) -> str | Reject:
    if isinstance(caption, Reject):
        return caption
    if caption is None:
        return Reject("missing_caption")
    if not isinstance(caption, str):
        return Reject("caption_not_text", type(caption).__name__, "str")
    if len(caption) > MAX_CAPTION:
        return Reject("caption_too_large", len(caption), MAX_CAPTION)
    if not caption.strip():
        return Reject("missing_caption")
    if not is_clean(caption):
        return Reject("bad_text")
    return caption

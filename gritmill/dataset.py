"""Finished datasets from Python: samples as their run had them.

>>> for sample in open_dataset("out/grit", split="train"):
...     print(sample.key, sample.caption, [(box.phrase, box.score) for box in sample.boxes])
000373938 a wire hanger with a paper cover [('a paper cover', 0.7929)]
"""

import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gritmill.pipeline.sources.finished import columns_of
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.samples import samples
from gritmill.pipeline.storage.tars import BrokenArchive
from gritmill.schemas.columns import BoxCheck, GroundedBox, Span
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import decode
from gritmill.schemas.masks import Mask

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Place = str | os.PathLike[str]

_SHARD = re.compile(r"(.+)-\d{5,}-of-\d{5,}\.tar")
_WRONG = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Sample:
    """An image with its caption, and what was found out about them."""

    key: str
    image_id: str
    """The same for all samples of an image."""
    split: str
    """`train`, `validation` or `test`."""
    image: bytes
    """The encoded image, as it came."""
    image_format: str
    """`jpeg`, `png`, ..."""
    width: int
    """Pixels, as the image is shown; so is `height`."""
    height: int
    caption: str
    captions: list[str]
    """All captions of the image."""
    metadata: dict[str, Any]
    """What the source said besides."""
    boxes: list[GroundedBox]
    """Phrases of the caption with their boxes, 0..1 of the whole image, their raw scores and models."""
    ref_exps: list[Span]
    """The referring expression of each box."""
    masks: list[Mask] | None
    """The mask of each box; None where the recipe segments nothing."""
    box_checks: list[list[BoxCheck]] | None
    """The checks that each box went through; None where the recipe verifies nothing."""
    conversations: list[Conversation]
    measured: dict[str, Any]
    """What stages measured and the recipe keeps."""

    def picture(self) -> "PILImage":
        """The image in RGB, turned as it is shown. Raises `OSError` or `ValueError` for a damaged one."""
        return decode(self.image)


_FIELDS = frozenset(field.name for field in fields(Sample))


@dataclass(frozen=True)
class Dataset:
    """The samples of some shards in order, read anew each time that they are gone through."""

    shards: tuple[str, ...]
    split: str | None = None

    def __iter__(self) -> Iterator[Sample]:
        splits: dict[str, None] = {}
        for shard in self.shards:
            for sample in _samples(shard):
                splits[sample.split] = None
                if self.split in (None, sample.split):
                    yield sample
        if self.split is not None and self.split not in splits:
            raise UserError(_no_split(self.split, splits))


def open_dataset(place: Place | Iterable[Place], split: str | None = None) -> Dataset:
    """The samples of a run's folder, or of tars by path, URL or glob; of all splits unless one is named.

    Raises `UserError` where there is no shard, no sample of the split, or, when it comes to it, a shard that
    is damaged or no run's.
    """
    places = [os.fspath(each) for each in ([place] if isinstance(place, (str, os.PathLike)) else place)]
    shards = [shard for each in places for shard in _shards(each)]
    splits = {shard: match[1] for shard in shards if (match := _SHARD.fullmatch(shard.rpartition("/")[2]))}
    if split is None or len(splits) < len(shards):
        return Dataset(tuple(shards), split)
    if split not in splits.values():
        raise UserError(_no_split(split, dict.fromkeys(splits.values())))
    return Dataset(tuple(shard for shard in shards if splits[shard] == split), split)


def _shards(place: str) -> list[str]:
    for pattern in (posixpath.join(place, "data", "*.tar"), posixpath.join(place, "*.tar"), place):
        if found := files.find_all([pattern])[0]:
            return [file.uri for file in found]
    raise UserError(f"{place} holds no dataset: there is no shard; `pipeline run` makes one")


def _samples(shard: str) -> Iterator[Sample]:
    with files.open_binary(shard) as file:
        try:
            for found in samples(file):
                yield _sample(shard, found.stem, found.image.read(file), found.record.read(file))
        except BrokenArchive as error:
            raise UserError(f"{shard}: {error}; `pipeline verify` says what is wrong") from error


def _sample(shard: str, stem: str, image: bytes, text: bytes) -> Sample:
    try:
        record: Mapping[str, Any] = json.loads(text)
        columns = columns_of(record)
        told: dict[str, Any] = {name: value for name, value in columns.items() if name in _FIELDS}
        told |= {name: _text(record[name]) for name in ("image_id", "split", "image_format", "caption")}
        told |= {name: int(record[name]) for name in ("width", "height")}
        told |= {
            "metadata": json.loads(columns["metadata"]),
            "measured": json.loads(record.get("measured", "{}")),
        }
        return Sample(image=image, **told)
    except _WRONG as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{shard}: {stem} is no sample of a run ({why}); `pipeline convert` makes it one"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {value!r}")
    return value


def _no_split(split: str, splits: Iterable[str]) -> str:
    return f"there is no split {split!r}; there are: {', '.join(splits)}"

"""Images that stand in two splits of a dataset, by their bytes or by the id that the source gives them."""

import hashlib
import posixpath
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

_WORDS = "train|training|validation|valid|val|dev|test|testing"
_IN_NAME = re.compile(rf"(?:.*[-_.])?({_WORDS})(?=[-_.]).*")
_AS_FOLDER = re.compile(_WORDS)
_NONE = 0
Digests = np.ndarray[Any, np.dtype[np.uint64]]


class Split(NamedTuple):
    """>>> split_of("out/grit/data/train-00000-of-00042.tar")
    Split(dataset='out/grit/data', split='train')
    """

    dataset: str
    split: str


def split_of(shard: str) -> Split | None:
    """By the shard's name, or else by that of its folder; None where neither names a split."""
    folder, name = posixpath.split(shard)
    if match := _IN_NAME.fullmatch(name):
        return Split(folder, match[1])
    above, last = posixpath.split(folder)
    return Split(above, last) if _AS_FOLDER.fullmatch(last) else None


@dataclass
class ImagesSeen:
    """The images of a shard's samples, in some 30 bytes each."""

    contents: "array[int]" = field(default_factory=lambda: array("Q"))
    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    keys: bytearray = field(default_factory=bytearray)

    def add(self, key: str, content: bytes, image_id: str) -> None:
        """`content` is a digest of eight bytes; empty for a sample without image or id."""
        self.contents.append(int.from_bytes(content) if content else _NONE)
        self.ids.append(_digest(image_id) if image_id else _NONE)
        self.keys += key.encode("utf-8", "surrogateescape") + b"\0"  # which no name in a tar can hold


class Leak(NamedTuple):
    """An image of one split that an earlier split has, too."""

    kind: str
    shard: str
    key: str
    also: str
    """The other place."""


def leaks(seen: Iterable[tuple[str, ImagesSeen]]) -> Iterator[Leak]:
    """Every image in more than one split, once for each split after its first; `seen` is by shard."""
    datasets: dict[str, dict[str, list[tuple[str, ImagesSeen]]]] = {}
    for shard, images in seen:
        if named := split_of(shard):
            datasets.setdefault(named.dataset, {}).setdefault(named.split, []).append((shard, images))
    for splits in datasets.values():
        if len(splits) > 1:
            yield from _between(splits, "image_in_two_splits", "contents")
            yield from _between(splits, "image_id_in_two_splits", "ids")


def _between(splits: dict[str, list[tuple[str, ImagesSeen]]], kind: str, what: str) -> Iterator[Leak]:
    of_split = [
        np.unique(np.concatenate([_array(images, what) for _, images in shards]))
        for shards in splits.values()
    ]
    values, counts = np.unique(np.concatenate(of_split), return_counts=True)
    leaked = values[(counts > 1) & (values != _NONE)]
    first: dict[int, str] = {}
    for shards in splits.values():
        told: set[int] = set()
        for shard, images in shards:
            found = _array(images, what)
            keys: list[bytes] | None = None
            for i in np.flatnonzero(np.isin(found, leaked)):
                keys = keys or bytes(images.keys).split(b"\0")
                value, key = int(found[i]), keys[i].decode("utf-8", "surrogateescape")
                if value in first and value not in told:
                    yield Leak(kind, shard, key, first[value])
                told.add(value)
                if value not in first:
                    first[value] = f"{posixpath.basename(shard)} {key}"


def _array(images: ImagesSeen, what: str) -> Digests:
    return np.frombuffer(getattr(images, what), np.uint64)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())

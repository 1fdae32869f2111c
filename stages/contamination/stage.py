"""Drops what a model will be tested on: images of benchmarks, and captions that hold their questions."""

import hashlib
from collections import Counter
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.contamination import lists
from gritmill.stages.contamination.lists import EvaluationEntry
from gritmill.stages.contamination.ngrams import Ngrams
from gritmill.stages.dedup import perceptual
from gritmill.stages.dedup.perceptual import MAX_RADIUS, RADIUS, Hashes
from gritmill.stages.filters.base import Filter


class ListMatch(NamedTuple):
    """What of an evaluation list a sample is too near to.

    >>> Match("image", "COCO_val2014_000000000042.jpg of pope", "3 bits differ")
    """

    by: str
    """`id`, `image` or `text`."""
    entry: str
    found: str


class Contamination(Filter):
    """Sample -> the evaluation image or text that it is too near to, if there is one.

    a crop of an image of RefCOCO's val -> Reject("evaluation_image", "COCO_....jpg of refcoco/val,
                                                  6 bits differ", 15)

    By image id, by perceptual hash (of the mirrored image, too), by words that captions share with questions.
    Lists are made by `pipeline fingerprint-set`. Without any, nothing is guarded, and the run and the
    dataset's card say so. Reasons: evaluation_id, evaluation_image, evaluation_text.
    """

    reads = ("image_id", "image", "caption", "captions")
    writes = {"evaluation_match": ListMatch}

    batch_size: int = Field(default=128, ge=1)
    against: list[str] = []
    """Lists of evaluation data, files or URLs."""
    radius: int | None = Field(default=RADIUS, ge=0, le=MAX_RADIUS)
    """Bits, of 128, in which the hash of an image may differ from that of an evaluation image and still be
    taken for it; null compares no images."""
    ngram: int | None = Field(default=8, ge=4, le=50)
    """Words in a row that a caption must share with a text of the lists; shorter texts are not found. null
    compares no texts. Published reports take 8 (PaLM, arXiv 2204.02311) to 13 (GPT-3, 2005.14165)."""

    _guard: "_Guard | None" = PrivateAttr(default=None)

    def problems(self) -> list[str]:
        found = []
        if len({_title(uri) for uri in self.against}) < len(self.against):
            found.append(
                "two lists in `against` have the same file name; rename one, so that reports tell them"
            )
        for uri in self.against:
            try:
                _load(uri)
            except UserError as error:
                found.append(str(error))
        return found

    def remarks(self) -> list[str]:
        if self.against:
            return []
        return [
            "no list of evaluation images is given, so nothing keeps the images of benchmarks out; "
            "`pipeline fingerprint-set` makes one for `against`"
        ]

    def revision(self) -> dict[str, str]:
        return {_title(uri): _described(uri) for uri in self.against}

    def setup(self) -> None:
        entries = [entry for uri in self.against for entry in _load(uri)[1]]
        self._guard = _Guard(entries, self.radius, self.ngram)

    def measure(self, batch: Columns) -> Columns:
        assert self._guard is not None
        return {"evaluation_match": self._guard.matches(batch)}

    def process(self, batch: Columns) -> Columns:
        found = self.measure(batch)
        if self.mode == "drop":
            found["evaluation_match"] = [match and self._reject(match) for match in found["evaluation_match"]]
        return found

    def _reject(self, match: ListMatch) -> Reject:
        threshold = {"id": None, "image": self.radius, "text": self.ngram}[match.by]
        return Reject(f"evaluation_{match.by}", f"{match.entry}: {match.found}", threshold)


class _Guard:
    """The lists, made ready to be asked: ids and runs of words in tables, hashes in an array."""

    def __init__(self, entries: list[EvaluationEntry], radius: int | None, ngram: int | None) -> None:
        self.radius = radius
        self.by_id: dict[str, EvaluationEntry] = {}
        for entry in entries:
            if entry.id:
                self.by_id.setdefault(lists.identity(entry.id), entry)
        self.images = [entry for entry in entries if entry.hash] if radius is not None else []
        self.hashes = perceptual.as_hashes([entry.hash for entry in self.images if entry.hash])
        self.texts = [entry for entry in entries if entry.text] if ngram is not None else []
        self.ngrams = Ngrams((entry.text for entry in self.texts), ngram or 0)

    def matches(self, batch: Columns) -> list[ListMatch | None]:
        """Of each row the surest: the id before the image before the text."""
        found = [self._by_id(image_id) for image_id in batch["image_id"]]
        if self.images:
            self._find_near(batch["image"], found)
        if self.texts:
            rows = zip(found, batch["caption"], batch["captions"], strict=True)
            found = [
                match or self._by_text([caption, *(captions or ())]) for match, caption, captions in rows
            ]
        return found

    def _by_id(self, image_id: str) -> ListMatch | None:
        entry = self.by_id.get(lists.identity(image_id)) if self.by_id else None
        return entry and ListMatch("id", entry.name, f"image id {image_id}")

    def _find_near(self, images: list[Any], found: list[ListMatch | None]) -> None:
        rows, hashes = [], []
        for row, image in enumerate(images):
            if found[row] is None and (hashed := perceptual.perceptual_hash(image.read())) is not None:
                rows.append(row)
                hashes.append(hashed)
        asked = perceptual.as_hashes(hashes)
        best: dict[int, tuple[int, int, str]] = {}
        for queries, how in ((asked, ""), (perceptual.mirrored(asked), ", mirrored")):
            for i, bits, j in self._near(queries):
                best[i] = min(best.get(i, (bits, j, how)), (bits, j, how))
        for i, (bits, j, how) in best.items():
            found[rows[i]] = ListMatch("image", self.images[j].name, f"{bits} bits differ{how}")

    def _near(self, queries: Hashes) -> list[tuple[int, int, int]]:
        assert self.radius is not None
        pairs: list[tuple[int, int, int]] = []
        for i, j in perceptual.near_pairs(queries, self.hashes, self.radius):
            bits = perceptual.distance(queries[i], self.hashes[j])
            pairs += zip(i.tolist(), bits.tolist(), j.tolist(), strict=True)
        return pairs

    def _by_text(self, captions: list[str | None]) -> ListMatch | None:
        for caption in captions:
            if caption and (shared := self.ngrams.shared(caption)):
                return ListMatch("text", self.texts[shared[0]].name, f"shares {shared[1]!r}")
        return None


def _title(uri: str) -> str:
    return PurePosixPath(uri.replace("\\", "/")).name


def _load(uri: str) -> tuple[str, list[EvaluationEntry]]:
    """A list's digest and entries."""
    data = lists.read(uri)
    return hashlib.sha256(data).hexdigest()[:16], _parsed(data, uri)


# `problems`, `revision` and `setup` each ask for them.
_parsed = lru_cache(maxsize=16)(lists.loads)


def _described(uri: str) -> str:
    """`8fa3c2d1e0b94a77 (1,500 ids, 1,499 images, 0 texts)`; empty for a list that `problems` tells of."""
    try:
        digest, entries = _load(uri)
    except UserError:
        return ""
    counts = Counter[str]()
    for entry in entries:
        counts.update(ids=bool(entry.id), images=bool(entry.hash), texts=bool(entry.text))
    told = ", ".join(f"{counts[what]:,} {what}" for what in ("ids", "images", "texts"))
    return f"{digest} ({told})"

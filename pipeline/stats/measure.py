"""Counts and distributions of a dataset, gathered in one pass.

What is held grows with the number of different images, captions and nouns, by some hundred bytes each, and
eight for each number that the recipe keeps, not with the boxes; quantiles are read off histograms, and
languages off a few thousand captions.
"""

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gritmill.pipeline.stats.languages import SomeCaptions
from gritmill.pipeline.stats.read import Read, read_samples
from gritmill.pipeline.storage.store import Store
from gritmill.schemas import conversations
from gritmill.schemas.columns import TOGETHER, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import Record, Region
from gritmill.stages.grounders.common.lexicon.inflection import singulars
from gritmill.stages.grounders.common.lexicon.labels import words_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 10_000


@dataclass(frozen=True)
class Stats:
    """The numbers of a dataset; shares are in 0..1, and None is what the dataset does not say.

    A span is a referring expression (a noun chunk where the recipe makes none), counted once a sample
    however many boxes it has. Boxes are pairs of a span and a box, as GRIT counts its objects.
    """

    samples: int
    images: int
    """Different `image_id`s."""
    spans: int
    boxes: int
    words_per_span: float | None
    """GRIT's average expression length; a word is what stands between spaces."""
    words_per_caption: float | None
    boxes_per_image: float | None
    spans_per_image: float | None
    boxes_per_span: float | None
    expanded: float | None
    """Share of the spans that grew beyond their noun chunk."""
    nested: float | None
    """Share of the spans that lie within another of their caption."""
    area: dict[str, float]
    """Quantiles of the share of the image that a box covers, to 0.0001: `{"0.5": 0.1234, ...}`."""
    score: dict[str, float]
    """Quantiles of the boxes' raw scores, to 0.0001."""
    concepts: dict[str, int]
    """Boxes by the last word of their noun chunk, in the singular where that occurs; most frequent
    first. In English that word is the phrase's head."""
    duplicate_captions: int
    """Samples whose caption, letter for letter, an earlier one has."""
    duplicate_images: int | None
    """Images whose bytes another has, too; None where the images were not read."""
    languages: dict[str, int]
    """Captions by their language as py3langid takes it, of those that were looked at (see `languages.py`);
    empty where that is not installed."""
    conversations: int
    """Samples with conversations."""
    box_models: dict[str, int]
    """Boxes by the model and revision that found them."""
    text_models: dict[str, int]
    """Conversations by the language model that wrote them; those made by rules are in none."""
    makers: dict[str, int]
    """Conversations by the stage that made them, as its recipe calls it."""
    numbers: dict[str, dict[str, float]]
    """Quantiles of each kept column of numbers."""
    words: dict[str, dict[str, int]]
    """Samples by the value of each kept column of texts, truths or lists of texts."""
    licenses: dict[str, int]
    """Samples by the licence that the source states for them (`license` in their metadata)."""

    def to_dict(self, concepts: int = 1_000) -> dict[str, Any]:
        """Plain data, with the most frequent concepts only and the number of all."""
        most = dict(list(self.concepts.items())[:concepts])
        return asdict(self) | {"concepts": most, "different_concepts": len(self.concepts)}

    def coverage(self, concepts: int) -> float | None:
        """Share of the boxes that the most frequent concepts make up."""
        return _ratio(sum(list(self.concepts.values())[:concepts]), sum(self.concepts.values()))


def dataset_stats(folder: str) -> Stats:
    """Measures a finished dataset of ours, by its folder or URL.

    Reads the shards, or the Parquet files where there are none. Raises `UserError` if it is not
    finished, or damaged.
    """
    return measure(read_samples(Store(folder)))


def measure(samples: Iterable[Read]) -> Stats:
    """The numbers of some samples. Raises `UserError` at a record that is none of ours."""
    counts = _Counts()
    for sample in samples:
        try:
            counts.add(sample)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            key = sample.record.get("key") if isinstance(sample.record, dict) else None
            raise UserError(
                f"the record of sample {key!r} is not as it should be ({error}). "
                "`pipeline verify` finds all that is wrong."
            ) from error
    return counts.stats()


class _Histogram:
    """Quantiles of values in 0..1 from counts of them."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS + 1, np.int64)

    def add(self, value: float) -> None:
        self._counts[round(min(max(value, 0.0), 1.0) * _BINS)] += 1

    def quantiles(self) -> dict[str, float]:
        total = int(self._counts.sum())
        if not total:
            return {}
        below = np.cumsum(self._counts)
        # The smallest value that at least this share of all does not exceed.
        ranks = [max(1, int(np.ceil(q * total))) for q in QUANTILES]
        return {str(q): int(np.searchsorted(below, rank)) / _BINS for q, rank in zip(QUANTILES, ranks)}


class _Counts:
    def __init__(self) -> None:
        self.n: Counter[str] = Counter()
        self.images: set[bytes] = set()
        self.contents: set[bytes] = set()
        self.captions: set[bytes] = set()
        self.area = _Histogram()
        self.score = _Histogram()
        self.heads: Counter[str] = Counter()
        self.box_models: Counter[str] = Counter()
        self.text_models: Counter[str] = Counter()
        self.makers: Counter[str] = Counter()
        self.numbers: dict[str, array[float]] = {}
        self.words: dict[str, Counter[str]] = {}
        self.licenses: Counter[str] = Counter()
        self.some_captions = SomeCaptions()

    def add(self, sample: Read) -> None:
        record = sample.record
        self.n["samples"] += 1
        self.images.add(_short(record["image_id"]))
        if sample.image is not None:
            self.contents.add(sample.image)
        caption = record["caption"]
        self.captions.add(_short(caption))
        self.some_captions.add(record["key"], caption)
        self.n["caption words"] += len(caption.split())
        self.n["conversations"] += "conversations" in record
        for talk in conversations.of_record(record):
            self.makers[talk.provenance.maker] += 1
            if talk.provenance.model:
                self.text_models[talk.provenance.model] += 1
        self._add_license(record)
        self._add_measured(record)
        self._add_boxes(record, caption)

    def _add_license(self, record: Record) -> None:
        metadata = json.loads(record["metadata"])
        stated = metadata.get("license") if isinstance(metadata, dict) else None
        if isinstance(stated, str) and stated:
            self.licenses[stated] += 1

    def _add_measured(self, record: Record) -> None:
        for name, value in json.loads(record.get("measured") or "{}").items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, (str, bool)):
                    self.words.setdefault(name, Counter())[str(item)] += 1
                elif isinstance(item, (int, float)):
                    self.numbers.setdefault(name, array("d")).append(item)

    def _add_boxes(self, record: Record, caption: str) -> None:
        chunks = [Region.from_item(item) for item in record.get("noun_chunks", ())]
        name = "ref_exps" if "ref_exps" in record else "noun_chunks"
        expressions = [Region.from_item(item) for item in record.get(name, ())]
        if len(chunks) != len(expressions):
            raise ValueError("noun_chunks and ref_exps are of different lengths")
        grown: dict[Span, bool] = {}
        for chunk, expression in zip(chunks, expressions, strict=True):
            grown[expression.span] = grown.get(expression.span, False) or expression.span != chunk.span
            self.area.add(expression.box.area)
            self.score.add(expression.score)
            if words := words_of(chunk.span.of(caption)):
                self.heads[words[-1]] += 1
        found_by = [box["model"].split(TOGETHER) for box in record.get("boxes", ())]
        self.box_models.update(model for models in found_by for model in models)
        self.n["boxes"] += len(expressions)
        self.n["spans"] += len(grown)
        self.n["expanded"] += sum(grown.values())
        self.n["span words"] += sum(len(span.of(caption).split()) for span in grown)
        self.n["nested"] += sum(any(o != s and o.contains(s) for o in grown) for s in grown)

    def stats(self) -> Stats:
        n, images = self.n, len(self.images)
        return Stats(
            samples=n["samples"],
            images=images,
            spans=n["spans"],
            boxes=n["boxes"],
            words_per_span=_ratio(n["span words"], n["spans"]),
            words_per_caption=_ratio(n["caption words"], n["samples"]),
            boxes_per_image=_ratio(n["boxes"], images),
            spans_per_image=_ratio(n["spans"], images),
            boxes_per_span=_ratio(n["boxes"], n["spans"]),
            expanded=_ratio(n["expanded"], n["spans"]),
            nested=_ratio(n["nested"], n["spans"]),
            area=self.area.quantiles(),
            score=self.score.quantiles(),
            concepts=_ranked(_in_the_singular(self.heads)),
            duplicate_captions=n["samples"] - len(self.captions),
            duplicate_images=images - len(self.contents) if self.contents else None,
            languages=_ranked(self.some_captions.languages()),
            conversations=n["conversations"],
            box_models=_ranked(self.box_models),
            text_models=_ranked(self.text_models),
            makers=_ranked(self.makers),
            numbers={name: _quantiles(values) for name, values in sorted(self.numbers.items())},
            words={name: _ranked(counts) for name, counts in sorted(self.words.items())},
            licenses=_ranked(self.licenses),
        )


def _in_the_singular(heads: Counter[str]) -> Counter[str]:
    """Plurals counted with their singular, where that occurs, too: "dogs" with "dog", "glass" as it is."""
    merged: Counter[str] = Counter()
    for word, count in heads.items():
        merged[next((form for form in reversed(singulars(word)) if form in heads), word)] += count
    return merged


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _quantiles(values: "array[float]") -> dict[str, float]:
    found = np.quantile(np.array(values), QUANTILES).tolist()
    return dict(zip(map(str, QUANTILES), found, strict=True))


def _ratio(count: int, of: int) -> float | None:
    return count / of if of else None


def _short(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()

"""Concept balance over the noun phrases of all captions, as LLaVA's CC3M-595K was made."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from gritmill.schemas.columns import Columns, Parse, Reject, Span
from gritmill.stages.base import GlobalStage, Sketches

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_NONE = np.empty(0, np.int64)


class ConceptBalance(GlobalStage):
    """Keeps the captions of rare concepts and some of those of common ones.

    "a red kite over the sea", where 61 captions have "red kite"   -> concept "red kite", frequency 61
    "a man", one of 80,000 captions and not among the 100 drawn    -> Reject("common_concepts", ...)
    "a zebra-striped teapot", in no other caption                  -> Reject("rare_concepts", ...)

    Liu et al., "Visual Instruction Tuning" (2023): phrases in fewer than 3 captions are left out; from the
    rarest of the others up, the captions that contain a phrase are added; of a phrase in more than 100, a
    random 100. A caption stays if any of its phrases brings it in. Counted are captions: a phrase that comes
    twice in one counts once.
    """

    reads = ("key", "caption", "noun_chunks", "parse")
    writes = {"concept": str, "concept_frequency": int}
    sketches = {"key_hash": int, "phrases": list[str]}
    decides = {"_which": int, "_frequency": int, "_stays": bool}

    batch_size: int = Field(default=100_000, ge=1)
    """Rows handed to one call."""
    min_frequency: int = Field(default=3, ge=1)
    """Captions that a phrase must be in to count at all: section 4.2 of the paper's first version."""
    max_captions: int = Field(default=100, ge=1)
    """Captions that one phrase may bring in; of more, so many are drawn. The same source."""
    order: Literal["rarest", "commonest", "seeded"] = "rarest"
    """Which phrase is walked to first. Without `top_up` it only says for which one a caption is kept."""
    top_up: bool = False
    """Whether captions that earlier phrases brought in count among the `max_captions` of a later one. LLaVA
    drew 100 of all captions of a phrase; this gives fewer and flatter."""
    words: Literal["lower", "lemma", "as_written"] = "lower"
    """What makes two phrases one: `lower` case, `lemma` (dogs = dog), or only the same letters. LLaVA does
    not say; our choice."""
    determiners: bool = False
    """Whether "a dog" and "the dog" are two phrases. LLaVA does not say; our choice."""
    seed: int = 0
    """Another seed draws other captions of the common phrases."""
    mode: Literal["drop", "measure"] = "drop"
    """`measure` writes the concept of each caption and drops nothing."""

    def sketch(self, part: Columns) -> Columns:
        return {"key_hash": [phrase_hash(key) for key in part["key"]], "phrases": self._phrases(part)}

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        balance = _Balance(self, sketches)
        for start, stop in balance.parts:
            yield {
                "_which": balance.which[start:stop].tolist(),
                "_frequency": balance.frequency[start:stop].tolist(),
                "_stays": balance.stays[start:stop].tolist(),
            }

    def process(self, batch: Columns) -> Columns:
        rows = zip(self._phrases(batch), *(batch[name] for name in self.decides), strict=True)
        judged = [self._judged(*row) for row in rows]
        return {
            "concept": [concept for concept, _ in judged],
            "concept_frequency": [count for _, count in judged],
        }

    def _judged(
        self, phrases: list[str], which: int, frequency: int, stays: bool
    ) -> tuple[str | None, int | Reject]:
        if which < 0:
            return None, 0 if self.mode == "measure" else Reject("no_concept")
        concept = phrases[which]
        if stays or self.mode == "measure":
            return concept, frequency
        if frequency < self.min_frequency:
            said = f'its commonest phrase "{concept}" is in {_captions(frequency)}'
            return concept, Reject("rare_concepts", said, f"min_frequency {self.min_frequency}")
        said = f'"{concept}" is in {_captions(frequency)}, of which others were drawn'
        return concept, Reject("common_concepts", said, f"max_captions {self.max_captions}")

    def _phrases(self, part: Columns) -> list[list[str]]:
        rows = zip(part["caption"], part["noun_chunks"], part["parse"], strict=True)
        return [list(dict.fromkeys(self._spelled(*row))) for row in rows]

    def _spelled(self, caption: str, chunks: list[Span], parse: Parse) -> Iterable[str]:
        if self.determiners and self.words == "as_written":
            return (chunk.of(caption) for chunk in chunks)
        return filter(None, (self._phrase(caption, chunk, parse) for chunk in chunks))

    def _phrase(self, caption: str, chunk: Span, parse: Parse) -> str:
        tokens = range(bisect_left(parse.starts, chunk.start), bisect_left(parse.starts, chunk.end))
        while len(tokens) > 1 and not self.determiners and parse.tags[tokens[0]] == "DET":
            tokens = tokens[1:]
        if not tokens:
            return ""
        if self.words == "lemma":
            return " ".join(parse.lemmas[i].casefold() for i in tokens)
        text = caption[parse.starts[tokens[0]] : chunk.end]
        return text if self.words == "as_written" else " ".join(text.casefold().split())


def _captions(count: int) -> str:
    return "1 caption" if count == 1 else f"{count:,} captions"


def phrase_hash(text: str) -> int:
    """64 bits of a SHA-256 as a signed number."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], signed=True)


def lot(phrase: Numbers, key: Numbers, seed: int) -> Numbers:
    """The number that a caption draws for a phrase: those with the lowest are taken. Hashes go in."""
    mixed = phrase.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key.astype(np.uint64)
    mixed += np.uint64(phrase_hash(str(seed)) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # as SplitMix64 mixes
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


class _Pairs(NamedTuple):
    """Which caption has which phrase: 8 bytes for a phrase of a caption, 16 in all."""

    row: Numbers
    phrase: Numbers
    """Its hash."""


class _Balance:
    """Walks over all phrases; holds some 60 bytes for each phrase of each caption while it does."""

    def __init__(self, stage: ConceptBalance, sketches: Sketches) -> None:
        self.parts: list[tuple[int, int]] = []
        keys, pairs, firsts = self._gathered(sketches)
        known, ids = np.unique(pairs.phrase, return_inverse=True)
        counts = np.bincount(ids, minlength=len(known))
        place = _places(stage, known, counts)
        order = np.lexsort((keys[pairs.row], lot(pairs.phrase, keys[pairs.row], stage.seed), place[ids]))
        chosen = np.zeros(len(keys), bool)
        came_by = np.full(len(keys), -1)
        walked = np.argsort(place)
        starts = np.cumsum(counts[walked]) - counts[walked]
        for phrase, start in zip(walked.tolist(), starts.tolist(), strict=True):
            if counts[phrase] < stage.min_frequency:
                continue
            rows = pairs.row[order[start : start + counts[phrase]]]
            if not stage.top_up:
                rows = rows[: stage.max_captions]
            new = rows[~chosen[rows]]
            if stage.top_up:
                new = new[: max(0, stage.max_captions - (len(rows) - len(new)))]
            chosen[new] = True
            came_by[new] = phrase
        self.stays = chosen
        # Which phrase to name: the one that brought the caption in, else the rarest of those that count,
        # else the most frequent of those that are too rare.
        enough = counts >= stage.min_frequency
        claim = np.where(enough, counts, 2 * len(keys) + 1 - counts)[ids]
        claim[came_by[pairs.row] == ids] = 0
        best = np.lexsort((ids, claim, pairs.row))
        rows, first = np.unique(pairs.row[best], return_index=True)
        named = best[first]
        self.which = np.full(len(keys), -1)
        self.which[rows] = named - firsts[rows]
        self.frequency = np.zeros(len(keys), np.int64)
        self.frequency[rows] = counts[ids[named]]

    def _gathered(self, sketches: Sketches) -> tuple[Numbers, _Pairs, Numbers]:
        """(hashes of all keys, pairs in order of rows, the first pair of each row)."""
        hashes: dict[str, int] = {}
        keys, rows, phrases, counts = [_NONE], [_NONE], [_NONE], [_NONE]
        done = 0
        for sketch in sketches:
            keys.append(np.array(sketch["key_hash"], np.int64))
            here = np.array([len(found) for found in sketch["phrases"]], np.int64)
            counts.append(here)
            rows.append(np.repeat(np.arange(done, done + len(here)), here))
            found = (phrase for row in sketch["phrases"] for phrase in row)
            phrases.append(np.fromiter((_remembered(phrase, hashes) for phrase in found), np.int64))
            self.parts.append((done, done + len(here)))
            done += len(here)
        per_row = np.concatenate(counts)
        pairs = _Pairs(np.concatenate(rows), np.concatenate(phrases))
        return np.concatenate(keys), pairs, np.cumsum(per_row) - per_row


def _places(stage: ConceptBalance, known: Numbers, counts: Numbers) -> Numbers:
    """When the walk comes to each phrase; phrases of one frequency by their hash."""
    by = {"rarest": counts, "commonest": -counts, "seeded": lot(known, np.zeros_like(known), stage.seed)}
    places = np.empty(len(known), np.int64)
    places[np.lexsort((known, by[stage.order]))] = np.arange(len(known))
    return places


def _remembered(phrase: str, hashes: dict[str, int]) -> int:
    """Its hash. Common phrases are most of all, so the last few hundred thousand are kept."""
    found = hashes.get(phrase)
    if found is None:
        if len(hashes) >= 200_000:
            hashes.clear()
        found = hashes[phrase] = phrase_hash(phrase)
    return found

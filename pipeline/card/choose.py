"""Which samples a card shows: decided by digests of their keys, so that a dataset has the same each time."""

import hashlib
import json
from collections.abc import Iterable
from heapq import nsmallest
from itertools import chain, islice, zip_longest
from typing import BinaryIO, NamedTuple

from gritmill.pipeline.storage.samples import Place, samples
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.licences import forbids_changes
from gritmill.schemas.records import Record, Region

MOST_EXPRESSIONS = 7
"""Samples with more are shown only where there are no others: their pictures would be a thicket."""


class CardSample(NamedTuple):
    """A record and the bytes of its image."""

    record: Record
    image: bytes


class _Candidate(NamedTuple):
    rank: tuple[bool, bytes]
    record: Record
    image: Place


def choose(output: Store, shards: Iterable[str], count: int) -> list[CardSample]:
    """Up to `count` samples, from as many shards as there are, no image twice.

    Reads the records of at most `count` shards. A sample whose licence forbids changes is left out: a
    picture with boxes in it is a changed one.
    """
    offered = []
    for name in sorted(shards, key=_digest)[:count]:
        with output.open(name) as file:
            best = nsmallest(count, _best_of_each_image(file), key=lambda candidate: candidate.rank)
        offered.append([(name, candidate) for candidate in best])
    in_turn = filter(None, chain.from_iterable(zip_longest(*offered)))
    chosen: dict[str, tuple[str, _Candidate]] = {}
    for name, candidate in in_turn:
        chosen.setdefault(candidate.record["image_id"], (name, candidate))
    return [_read(output, *one) for one in islice(chosen.values(), count)]


def expressions(record: Record) -> dict[Span, list[Box]]:
    """Each referring expression (noun chunk where there are none) with its boxes, in the record's order."""
    found: dict[Span, list[Box]] = {}
    for item in record["ref_exps"] if "ref_exps" in record else record.get("noun_chunks", ()):
        region = Region.from_item(item)
        found.setdefault(region.span, []).append(region.box)
    return found


def stated(record: Record, name: str) -> str:
    """What the source says of a sample, such as its `license` or `url`; empty if nothing."""
    metadata = json.loads(record["metadata"])
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def _read(output: Store, shard: str, candidate: _Candidate) -> CardSample:
    with output.open(shard) as file:
        return CardSample(candidate.record, candidate.image.read(file))


def _best_of_each_image(file: BinaryIO) -> Iterable[_Candidate]:
    best: dict[str, _Candidate] = {}
    for sample in samples(file):
        if not sample.record.size or not sample.image.size:
            continue
        record = json.loads(sample.record.read(file))
        if not forbids_changes(stated(record, "license")):
            is_odd = not 1 <= len(expressions(record)) <= MOST_EXPRESSIONS
            new = _Candidate((is_odd, _digest(record["key"])), record, sample.image)
            old = best.setdefault(record["image_id"], new)
            if new.rank < old.rank:
                best[record["image_id"]] = new
    return best.values()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

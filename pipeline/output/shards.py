"""Which split and which shard a sample goes to: the global stage at the end of every recipe."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from gritmill.pipeline.output.formats import image_extension
from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.base import GlobalStage, Sketches

SPLITS = ("train", "validation", "test")
_DUPLICATE = -1

# What a sample takes in a tar beside its image: three headers, padding, caption, JSON record.
_OVERHEAD = 4096


@dataclass(frozen=True)
class Shard:
    """One shard of the output and where its samples are to be found."""

    split: str
    index: int
    count: int
    """Shards of the split."""
    first_part: int
    last_part: int
    rows: int
    extension: str
    """Of its image members, the same in the whole split."""

    @property
    def name(self) -> str:
        """`train-00003-of-00042`, as the Hub names shards."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"


class AssignShards(GlobalStage):
    """Deals samples to splits by their image, and to shards in source order, by size.

    A key that comes again anywhere in the source is rejected: a shard must not hold it twice.
    """

    reads = ("key", "image_id", "image_bytes", "image_format", "caption", "width", "height")
    writes = {"split": str, "shard": int}
    sketches = {"key_hash": int, "split": int, "size": int, "image_format": str}
    decides = {"_shard": int}

    shard_size: int
    validation: float = 0.0
    test: float = 0.0
    seed: int = 0
    batch_size: int = Field(default=100_000, ge=1)

    def split_of(self, image_id: str) -> int:
        """Index into `SPLITS`, from a hash of the image alone."""
        if not (self.validation or self.test):
            return 0
        share = _hash(f"{self.seed}:{image_id}") / 2**64
        if share < self.validation:
            return 1
        return 2 if share < self.validation + self.test else 0

    def sketch(self, part: Columns) -> Columns:
        return {
            "key_hash": [_hash(key) - 2**63 for key in part["key"]],
            "split": [self.split_of(image_id) for image_id in part["image_id"]],
            "size": [
                size + len(caption) + _OVERHEAD
                for size, caption in zip(part["image_bytes"], part["caption"], strict=True)
            ],
            "image_format": part["image_format"],
        }

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        repeated = _repeated(sketches)
        seen: set[int] = set()
        filled = [0] * len(SPLITS)
        current = [0] * len(SPLITS)
        for sketch in sketches:
            shards = []
            rows = zip(sketch["key_hash"], sketch["split"], sketch["size"], strict=True)
            for key_hash, split, size in rows:
                if key_hash in seen:
                    shards.append(_DUPLICATE)
                    continue
                if key_hash in repeated:
                    seen.add(key_hash)
                if filled[split] and filled[split] + size > self.shard_size:
                    current[split] += 1
                    filled[split] = 0
                filled[split] += size
                shards.append(current[split])
            yield {"_shard": shards}

    def process(self, batch: Columns) -> Columns:
        return {
            "split": [SPLITS[self.split_of(image_id)] for image_id in batch["image_id"]],
            "shard": [
                Reject("duplicate_key", key) if shard == _DUPLICATE else shard
                for shard, key in zip(batch["_shard"], batch["key"], strict=True)
            ],
        }


def list_shards(sketches: Sketches, decisions: Iterator[Columns]) -> list[Shard]:
    """All shards of the output, in the order in which they are written."""
    first: dict[tuple[int, int], int] = {}
    last: dict[tuple[int, int], int] = {}
    rows: dict[tuple[int, int], int] = {}
    formats: list[set[str]] = [set() for _ in SPLITS]
    for part, (sketch, decision) in enumerate(zip(sketches, decisions, strict=True)):
        for split, shard, image_format in zip(
            sketch["split"], decision["_shard"], sketch["image_format"], strict=True
        ):
            if shard == _DUPLICATE:
                continue
            place = (split, shard)
            first.setdefault(place, part)
            last[place] = part
            rows[place] = rows.get(place, 0) + 1
            formats[split].add(image_format)
    counts = [sum(split == s for split, _ in first) for s in range(len(SPLITS))]
    return [
        Shard(
            split=SPLITS[split],
            index=shard,
            count=counts[split],
            first_part=first[split, shard],
            last_part=last[split, shard],
            rows=rows[split, shard],
            extension=image_extension(formats[split]),
        )
        for split, shard in sorted(first)
    ]


def _hash(text: str) -> int:
    """64 bits of a SHA-256, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])


def _repeated(sketches: Sketches) -> set[int]:
    """The hashes of keys that come more than once. 16 bytes a row while they are gathered."""
    nothing = np.empty(0, np.int64)
    hashes = np.concatenate([nothing, *(np.array(sketch["key_hash"], np.int64) for sketch in sketches)])
    hashes.sort()
    return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())

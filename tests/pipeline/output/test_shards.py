"""Who goes to which split and shard."""

import hashlib
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from gritmill.pipeline.output.shards import SPLITS, AssignShards, Shard, list_shards
from gritmill.schemas.columns import Columns, Reject

SHARE = {"validation": 0.2, "test": 0.1}


def part(*samples: tuple[str, str, int], image_format: str = "jpeg") -> Columns:
    """(key, image, bytes) of each sample -> the columns of a part."""
    return {
        "key": [key for key, _, _ in samples],
        "image_id": [image for _, image, _ in samples],
        "image_bytes": [size for _, _, size in samples],
        "image_format": [image_format for _ in samples],
        "caption": ["a dog" for _ in samples],
        "width": [10 for _ in samples],
        "height": [10 for _ in samples],
    }


def deal(stage: AssignShards, parts: list[Columns]) -> tuple[list[Shard], list[tuple[str, str, Any]]]:
    """Sketch, decide and process: the list of shards, and (key, split, shard) of each row."""
    sketches = [stage.sketch(columns) for columns in parts]
    decisions = list(stage.decide(sketches))
    rows: list[tuple[str, str, Any]] = []
    for columns, decision in zip(parts, decisions, strict=True):
        done = stage.process(columns | decision)
        rows += zip(columns["key"], done["split"], done["shard"], strict=True)
    return list_shards(sketches, iter(decisions)), rows


def samples(count: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """Two captions an image, images of 1 to 100 kB."""
    rng = random.Random(seed)
    return [(f"{n // 2:06d}_{n % 2}", f"{n // 2:06d}", rng.randrange(1000, 100_000)) for n in range(count)]


def cut(rows: list[tuple[str, str, int]], size: int) -> list[Columns]:
    return [part(*rows[i : i + size]) for i in range(0, len(rows), size)]


def test_splits_have_their_shares() -> None:
    stage = AssignShards(shard_size=1, **SHARE)
    counts = Counter(SPLITS[stage.split_of(f"image-{n}")] for n in range(10_000))
    # Four standard deviations of a fair draw.
    assert counts["validation"] == pytest.approx(2000, abs=160)
    assert counts["test"] == pytest.approx(1000, abs=120)


def test_splits_are_those_of_yesterday() -> None:
    stage = AssignShards(shard_size=1, validation=0.3, test=0.3)
    numbers = "".join(str(stage.split_of(f"scene-{n:08d}")) for n in range(24))
    assert numbers == "100010102100102002001120"


@pytest.mark.parametrize(
    ("shares", "expected"), [({}, {"train"}), (SHARE, set(SPLITS)), ({"test": 0.5}, {"train", "test"})]
)
def test_only_splits_asked_for_are_filled(shares: dict[str, float], expected: set[str]) -> None:
    shards, _ = deal(AssignShards(shard_size=10**6, **shares), cut(samples(200), 50))
    assert {shard.split for shard in shards} == expected


def test_a_larger_share_keeps_what_was_held_out() -> None:
    images = [f"image-{n}" for n in range(2000)]
    small, large = (
        {i for i in images if AssignShards(shard_size=1, validation=share).split_of(i) == 1}
        for share in (0.05, 0.1)
    )
    assert small < large
    other = AssignShards(shard_size=1, validation=0.05, seed=1)
    assert {i for i in images if other.split_of(i) == 1} != small


@pytest.mark.parametrize("part_size", [1, 7, 1000])
def test_every_sample_stands_in_one_shard_and_images_are_never_torn(part_size: int) -> None:
    rows = samples(600)
    shards, dealt = deal(AssignShards(shard_size=500_000, **SHARE), cut(rows, part_size))
    assert [key for key, _, _ in dealt] == [key for key, _, _ in rows]
    held = Counter((split, shard) for _, split, shard in dealt)
    assert {(shard.split, shard.index): shard.rows for shard in shards} == held
    of_image: dict[str, set[str]] = {}
    for key, split, _ in dealt:
        of_image.setdefault(key.partition("_")[0], set()).add(split)
    assert all(len(splits) == 1 for splits in of_image.values())
    # How the source is cut into parts does not show.
    assert dealt == deal(AssignShards(shard_size=500_000, **SHARE), [part(*rows)])[1]


def test_shards_are_named_without_gaps_and_know_their_parts() -> None:
    parts = cut(samples(600), 20)
    stage = AssignShards(shard_size=500_000, **SHARE)
    shards, _ = deal(stage, parts)
    for split in SPLITS:
        of_split = [shard for shard in shards if shard.split == split]
        count = len(of_split)
        assert [shard.name for shard in of_split] == [f"{split}-{i:05d}-of-{count:05d}" for i in range(count)]
        assert count > 1
        for before, after in pairwise(of_split):
            assert before.last_part <= after.first_part
    for shard in shards:
        number = SPLITS.index(shard.split)
        decisions = list(stage.decide([stage.sketch(columns) for columns in parts]))
        holding = [
            i
            for i, columns in enumerate(parts)
            if any(
                d == shard.index and stage.split_of(image) == number
                for d, image in zip(decisions[i]["_shard"], columns["image_id"], strict=True)
            )
        ]
        assert (shard.first_part, shard.last_part) == (holding[0], holding[-1])


@pytest.mark.parametrize("shard_size", [50_000, 300_000, 10**9])
def test_shards_are_filled_and_not_overfilled(shard_size: int) -> None:
    rows = samples(400)
    shards, dealt = deal(AssignShards(shard_size=shard_size), cut(rows, 100))
    size = {key: number + len("a dog") + 4096 for key, _, number in rows}
    filled: Counter[int] = Counter()
    for key, _, shard in dealt:
        filled[shard] += size[key]
    assert len(filled) == len(shards)
    for shard in shards:
        assert filled[shard.index] <= shard_size or shard.rows == 1
    for before, after in pairwise(shards):
        first = next(key for key, _, shard in dealt if shard == after.index)
        assert filled[before.index] + size[first] > shard_size


def test_a_key_that_comes_again_in_any_part_is_dropped() -> None:
    a, b, c = (("a", "1", 10), ("b", "2", 10), ("c", "3", 10))
    shards, dealt = deal(AssignShards(shard_size=10**6), [part(a, b, a), part(), part(b, c), part(a)])
    twice = {key: Reject("duplicate_key", key) for key in "ab"}
    assert [shard for _, _, shard in dealt] == [0, 0, twice["a"], twice["b"], 0, twice["a"]]
    assert [(s.rows, s.first_part, s.last_part) for s in shards] == [(3, 0, 2)]


@pytest.mark.parametrize("parts", [[], [part()], [part(), part()]], ids=["no parts", "empty", "two empty"])
def test_nothing_makes_no_shards(parts: list[Columns]) -> None:
    assert deal(AssignShards(shard_size=10), parts) == ([], [])


@pytest.mark.parametrize(
    ("formats", "extension"), [(["png"], "png"), (["jpeg"], "jpg"), (["jpeg", "png"], "jpg")]
)
def test_a_split_has_one_extension(formats: list[str], extension: str) -> None:
    parts = [part((f"{i}", f"{i}", 10), image_format=name) for i, name in enumerate(formats)]
    shards, _ = deal(AssignShards(shard_size=1), parts)
    assert {shard.extension for shard in shards} == {extension}


def test_the_deal_is_that_of_yesterday() -> None:
    shards, dealt = deal(AssignShards(shard_size=200_000, **SHARE), cut(samples(300), 32))
    assert hashlib.sha256(repr((shards, dealt)).encode()).hexdigest()[:16] == "42b945c780dd664c"

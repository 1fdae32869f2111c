import math

import pytest

from gritmill.pipeline.view import search
from gritmill.pipeline.view.search import Wanted, find_page
from gritmill.pipeline.view.shards import ShardSamples
from tests.pipeline.view.conftest import record

DOG = record("1_0", "A dog in a field", (0, 5, 0.8), (9, 16, 0.3))
CAT = record("2_0", "a STRAẞE with a cat", (9, 19, 0.4))
BARE = record("3_dog", "nothing of the kind")


@pytest.fixture
def samples(write_shard):
    found = ShardSamples([str(write_shard(DOG, CAT, BARE))])
    found.grow(math.inf)
    return found


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Wanted(), ["1_0", "2_0", "3_dog"]),
        (Wanted(text="dog"), ["1_0", "3_dog"]),
        (Wanted(text="A DOG"), ["1_0"]),
        (Wanted(text="strasse"), ["2_0"]),
        (Wanted(text="2_0"), ["2_0"]),
        (Wanted(text="zebra"), []),
        (Wanted(low=0.5), ["1_0"]),
        (Wanted(high=0.3), ["1_0"]),
        (Wanted(low=0.35, high=0.45), ["2_0"]),
        (Wanted(low=0), ["1_0", "2_0"]),
        (Wanted(text="field", low=0.5), []),  # a field, but with a score of 0.3
        (Wanted(text="dog", low=0.5), ["1_0"]),
        (Wanted(text="cat", high=0.4), ["2_0"]),
        (Wanted(low=2), []),
        (Wanted(stage="select_boxes"), []),
        (Wanted(reason="no_box"), []),
        (Wanted(change="left"), []),
    ],
)
def test_filters(samples, wanted, keys, monkeypatch):
    monkeypatch.setattr(search, "SECONDS", 60)
    page = find_page(samples, wanted, 0, 10)
    assert [samples.entry(number)["key"] for number in page.rows] == keys
    assert (page.previous, page.next) == (None, None)


@pytest.mark.parametrize("count", [1, 2, 5, 100])
@pytest.mark.parametrize("wanted", [Wanted(), Wanted(text="dog")])
@pytest.mark.parametrize("seconds", [0, 10], ids=["no time", "time"])
def test_pages_one_after_another_are_the_whole_in_both_directions(
    write_shard, monkeypatch, count, wanted, seconds
):
    monkeypatch.setattr(search, "SECONDS", seconds)
    texts = ["dog" if i % 3 == 0 else "cat" for i in range(17)]
    samples = ShardSamples([str(write_shard(*(record(f"{i:02d}", text) for i, text in enumerate(texts))))])
    expected = [i for i, text in enumerate(texts) if wanted.text in text]

    found: list[int] = []
    at: int | None = 0
    pages = 0
    while at is not None:
        page = find_page(samples, wanted, at, count)
        assert len(page.rows) <= count and pages < 100
        found += page.rows
        at, pages = page.next, pages + 1
    assert found == expected
    if seconds:
        assert pages == max(1, math.ceil(len(found) / count)) or (wanted.text and pages <= len(found) + 1)

    found, at = [], 16
    while at is not None:
        page = find_page(samples, wanted, at, count, backwards=True)
        found = page.rows + found
        at = page.previous
    assert found == expected


def test_backwards_from_beyond_the_end(samples):
    page = find_page(samples, Wanted(), 99, 2, backwards=True)
    assert page.rows == [1, 2] and page.previous == 0


@pytest.mark.parametrize("start", [3, 10**15])
def test_beyond_the_end_there_is_nothing(samples, start):
    page = find_page(samples, Wanted(), start, 10)
    assert (page.rows, page.next) == ([], None)

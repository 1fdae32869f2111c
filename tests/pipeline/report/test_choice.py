"""Samples are drawn by lot, and the same ones every time."""

import pytest

from gritmill.pipeline.report.choice import Lottery

KEYS = [f"sample-{i}" for i in range(200)]


def drawn(keys: list[str], size: int, seed: int = 0) -> list[str]:
    lottery = Lottery[str](size, seed)
    for key in keys:
        lottery.add(key, key)
    return lottery.winners()


def test_the_order_in_which_they_come_does_not_matter() -> None:
    assert drawn(KEYS, 20) == drawn(KEYS[::-1], 20)


def test_a_smaller_choice_is_the_beginning_of_a_larger_one() -> None:
    assert drawn(KEYS, 20)[:5] == drawn(KEYS, 5)


def test_another_seed_draws_others() -> None:
    assert set(drawn(KEYS, 20)) != set(drawn(KEYS, 20, seed=1))


def test_all_parts_have_a_chance() -> None:
    first = [int(key.rpartition("-")[2]) < 100 for key in drawn(KEYS, 100)]
    assert 30 < sum(first) < 70


@pytest.mark.parametrize(("size", "count"), [(0, 0), (3, 3), (1000, 200)])
def test_no_more_than_there_are(size: int, count: int) -> None:
    assert len(drawn(KEYS, size)) == count


def test_any_text_is_a_key() -> None:
    assert drawn(["", "\ud800", "🐶", "🐶"], 4).count("🐶") == 2

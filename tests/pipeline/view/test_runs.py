"""Runs: what was dropped, and two of them side by side."""

import math
import shutil
from collections import Counter

import pytest

from gritmill.pipeline.engine.steps_lock import LOCK, Line
from gritmill.pipeline.view.pairs import Pairs
from gritmill.pipeline.view.search import Wanted, find_page
from gritmill.pipeline.view.shards import ShardSamples
from gritmill.pipeline.view.side import Side, open_side
from tests.pipeline.view.conftest import CAPTIONS, picture, record


def test_what_was_dropped_is_there_with_its_reason(runs):
    side = open_side(str(runs[0]))
    assert side.dropped is not None and side.notes == []
    side.dropped.grow(math.inf)
    told = {(label.stage, label.reason): count for label, count in sorted(side.dropped.counts.items())}
    assert told == {("caption_check", "too_few_words"): 1, ("select_boxes", "no_candidate"): 1}
    numbers = find_page(side.dropped, Wanted(reason="too_few_words"), 0, 10).rows
    [entry] = [side.dropped.entry(number) for number in numbers]
    assert (entry["caption"], entry["stage"], entry["value"], entry["threshold"]) == (
        "A dog",
        "caption_check",
        "2",
        "3",
    )
    assert side.dropped.size(numbers[0]) == (640, 480)
    assert side.dropped.image(numbers[0]) == picture((640, 480))
    side.kept.grow(math.inf)
    assert len(side.kept.rows) == 3


@pytest.mark.parametrize("name", ["strict", "strict.work", "strict.yaml"])
def test_a_run_by_any_of_its_names(runs, name):
    side = open_side(str(runs[0].parent / name))
    side.kept.grow(math.inf)
    assert len(side.kept.rows) == 3 and side.dropped is not None


def test_results_of_another_version_of_the_code_are_shown(runs, tmp_path, monkeypatch):
    for target, line in LOCK.items():
        monkeypatch.setitem(LOCK, target, Line("another", line.digest))
    side = open_side(str(runs[0]))
    assert side.dropped is not None
    side.dropped.grow(math.inf)
    assert len(side.dropped.rows) == 2


def test_a_dataset_that_lost_its_work_folder_is_shown_with_a_note(runs, tmp_path):
    output = tmp_path / "moved"
    shutil.copytree(runs[0], output)
    side = open_side(str(output))
    side.kept.grow(math.inf)
    assert len(side.kept.rows) == 3 and side.dropped is None
    assert "moved.work holds no run" in side.notes[0]


def test_two_runs_side_by_side(runs):
    pairs = Pairs(open_side(str(runs[0])), open_side(str(runs[1])))
    assert pairs.rows == []
    pairs.grow(math.inf)
    # One lets expressions contain others; two words are too few in the other.
    changes = {}
    for number, pair in enumerate(pairs.rows):
        left, right = pairs.entries(number)
        shown = left or right
        assert shown is not None
        changes[shown["caption"]] = (pair.change, left and left["reason"], right and right["reason"])
    assert changes == {
        CAPTIONS[0]: ("changed", None, None),
        CAPTIONS[1]: ("same", None, None),
        CAPTIONS[2]: ("changed", None, None),
        CAPTIONS[4]: ("right", "too_few_words", None),
    }
    [number] = find_page(pairs, Wanted(change="right", stage="caption_check"), 0, 10).rows
    assert pairs.label(number).reason == "too_few_words"
    assert find_page(pairs, Wanted(text="script"), 0, 10).rows


def side_of(*shards: object) -> Side:
    return Side("x", ShardSamples(list(map(str, shards))))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([record("1_0", "a dog")], [record("1_0", "a dog")], {"same": 1}),
        ([record("1_0", "a dog", (0, 5, 0.5))], [record("1_0", "a dog", (0, 5, 0.9))], {"same": 1}),
        ([record("1_0", "a dog", (0, 5, 0.5))], [record("1_0", "a dog", (2, 5, 0.5))], {"changed": 1}),
        ([record("1_0", "a dog"), record("1_1", "x")], [record("1_0", "a cat")], {"changed": 1, "left": 1}),
        # Not one key in common: by image, one sample with one.
        ([record("1_0", "a dog"), record("2_0", "b")], [record("1", "a dog")], {"same": 1, "left": 1}),
        ([record("1_0", "a"), record("1_1", "b")], [record("1", "a")], {"same": 1, "left": 1}),
        ([record("1", "a")], [record("2", "a")], {"left": 1, "right": 1}),
    ],
)
def test_samples_are_joined_by_key_or_image(write_shard, left, right, expected):
    pairs = Pairs(
        side_of(write_shard(*left, name="left/0.tar")), side_of(write_shard(*right, name="right/0.tar"))
    )
    pairs.grow(math.inf)
    assert Counter(pair.change for pair in pairs.rows) == expected

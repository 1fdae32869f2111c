"""The whole story of a sample, kept or dropped, read or not."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gritmill.pipeline.engine.plan import Parts, Plan, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.why import Chapter, Story, tell
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

STAGES = [
    "image_check: {min_side: 20, as: looks}",
    "caption_check: {min_words: 3, as: reads}",
    "odd_stages:RaisesOn: {word: unbearable, as: fragile}",
]


@pytest.fixture
def tell_of(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., list[Story]]:
    """(key, more stages) -> its stories after a run over a folder of samples."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, side, caption in (
        ("good", 24, "a dog in a field\na cat on a mat"),
        ("small", 8, "a dog in a field"),
        ("short", 24, "dog"),
        ("fragile", 24, "an unbearable dog in a field"),
        ("silent", 24, ""),
    ):
        out = io.BytesIO()
        Image.new("RGB", (side, side), "teal").save(out, "PNG")
        (photos / f"{name}.png").write_bytes(out.getvalue())
        (photos / f"{name}.txt").write_text(caption)
    source = f"type: folder, path: {photos}, part_size: 2"
    options = {"output": "shard_size: 1MB", "extra": "max_failed_fraction: 0.5"}
    work = Store(str(tmp_path / "out.work"))

    def planned(stages: list[str]) -> Plan:
        job = load_recipe(str(write_recipe(source, stages, **options)))
        return make_plan(job, Parts.of(job.source.parts()))

    run(planned(STAGES).job, work, LocalRunner(), Progress())

    def call(key: str, *more: str) -> list[Story]:
        return tell(planned([*STAGES, *more]), work, key)

    return call


def outline(story: Story) -> list[tuple[str, ...]]:
    """Step and verdict; reason, value and threshold where there are any."""
    fields = ((c.step, c.verdict, c.reason, c.value, c.threshold) for c in story.chapters)
    return [tuple(field for field in chapter if field) for chapter in fields]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "good_0",
            [
                ("source", "kept"),
                ("looks", "kept"),
                ("reads", "kept"),
                ("fragile", "kept"),
                ("shards", "kept"),
            ],
        ),
        ("small", [("source", "kept"), ("looks", "rejected", "too_small", "8", "20")]),
        ("short", [("source", "kept"), ("looks", "kept"), ("reads", "rejected", "too_few_words", "1", "3")]),
        (
            "fragile",
            [
                ("source", "kept"),
                ("looks", "kept"),
                ("reads", "kept"),
                ("fragile", "failed", "ValueError", "cannot bear unbearable"),
            ],
        ),
        ("silent", [("source", "rejected", "missing_caption")]),
    ],
)
def test_a_story_ends_where_the_sample_did(
    tell_of: Callable[..., list[Story]], key: str, expected: list[tuple[str, ...]]
) -> None:
    [story] = tell_of(key)
    assert story.key == key
    assert outline(story) == expected


def test_a_chapter_shows_what_was_found_and_what_was_asked(tell_of: Callable[..., list[Story]]) -> None:
    [story] = tell_of("good_1")
    source, looks, reads, _, shards = story.chapters
    assert source.columns["caption"] == "a cat on a mat"
    assert source.columns["captions"] == ["a dog in a field", "a cat on a mat"]
    assert (looks.columns["width"], looks.columns["image_format"]) == (24, "png")
    assert (looks.options["min_side"], reads.options["min_words"]) == (20, 3)
    assert (reads.columns["words"], reads.columns["characters"]) == (5, 14)
    assert shards.columns == {"split": "train", "shard": 0}


def test_a_rejected_sample_keeps_what_else_was_measured(tell_of: Callable[..., list[Story]]) -> None:
    [story] = tell_of("short")
    assert story.chapters[-1].columns["characters"] == 3
    assert "words" not in story.chapters[-1].columns


def test_an_image_tells_of_all_its_samples(tell_of: Callable[..., list[Story]]) -> None:
    stories = tell_of("good")
    assert [(story.key, story.row) for story in stories] == [("good_0", 1), ("good_1", 2)]
    assert len({story.part for story in stories}) == 1
    assert stories == [tell_of("good_0")[0], tell_of("good_1")[0]]


def test_what_has_not_run_is_not_made_up(tell_of: Callable[..., list[Story]]) -> None:
    [story] = tell_of("good_0", "odd_stages:DropsAll: {as: later}")
    assert outline(story)[-2:] == [("fragile", "kept"), ("later", "not run yet")]
    assert story.chapters[-1] == Chapter("later", "not run yet")
    [dropped] = tell_of("small", "odd_stages:DropsAll: {as: later}")
    assert outline(dropped)[-1][:2] == ("looks", "rejected")


@pytest.mark.parametrize("key", ["nobody", "", "good_2", "Good", "a dog in a field"])
def test_a_key_that_nobody_has_is_a_sentence(tell_of: Callable[..., list[Story]], key: str) -> None:
    with pytest.raises(UserError, match="no sample with key or image id"):
        tell_of(key)

"""Questions about our own records."""

from typing import Any

import pytest
from PIL import Image

from gritmill.schemas.boxes import Box
from gritmill.schemas.errors import UserError
from gritmill.trainer.sets import Task
from gritmill.trainer.sets.splits import questions

DOG, OTHER, FIELD = (0.1, 0.2, 0.5, 0.9), (0.5, 0.2, 0.9, 0.9), (0.0, 0.5, 1.0, 1.0)


class Records:
    """A dataset in memory."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def record(self, number: int) -> dict[str, Any]:
        return self.records[number]

    def image(self, number: int) -> Image.Image:
        return Image.new("RGB", (64, 48))


def record(caption: str, *regions: tuple[str, str, tuple[float, ...]], **fields: Any) -> dict[str, Any]:
    """Regions are (noun chunk, referring expression, box), the words as they stand in the caption."""

    def item(words: str, box: tuple[float, ...]) -> list[float]:
        start = caption.index(words)
        return [start, start + len(words), *box, 0.9]

    chunks = [item(chunk, box) for chunk, _, box in regions]
    expressions = [item(expression, box) for _, expression, box in regions]
    told = {"key": "a_0", "image_id": "a", "caption": caption, "captions": [caption], **fields}
    return {**told, "noun_chunks": chunks, "ref_exps": expressions}


CAPTION = "  A <b> dog in a field next to another dog"
SAMPLE = record(
    CAPTION,
    ("A <b> dog", "A <b> dog in a field", DOG),
    ("a field", "a field", FIELD),
    ("another dog", "another dog", OTHER),
)


def asked(task: Task, *records: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = questions(Records(*records), "validation", task)
    return [(a.question.id, a.question.image, a.question.truth, *a.asked) for a in found.asks]


def test_comprehension() -> None:
    words = {"expression": "A (b) dog in a field", "definite": "the (b) dog in a field"}
    rows = asked("rec", SAMPLE)
    assert rows[0] == ("a_0/rec/0", "a", Box(*DOG), "rec", words, [])
    assert [row[2] for row in rows] == [Box(*DOG), Box(*FIELD), Box(*OTHER)]


def test_what_means_two_boxes_is_not_asked() -> None:
    twice = record("a dog and a dog", ("a dog", "a dog", DOG), ("a dog", "a dog", OTHER))
    with pytest.raises(UserError, match="nothing to ask for 'rec'"):
        asked("rec", twice)
    [row] = asked("phrase_grounding", twice)
    assert row[2] == [Box(*DOG), Box(*OTHER)]
    assert row[4] == {"phrase": "a dog", "caption": "a dog and a dog", "before": ""}


def test_phrases_know_what_stands_before_them() -> None:
    rows = asked("phrase_grounding", SAMPLE)
    assert [row[4]["phrase"] for row in rows] == ["A (b) dog", "a field", "another dog"]
    assert rows[1][4]["before"] == "A (b) dog in"


def test_generation_has_all_expressions_of_a_box() -> None:
    both = record("a dog, the pet", ("a dog", "a dog", DOG), ("the pet", "the pet", DOG))
    assert asked("reg", both) == [("a_0/reg/0", "a", ["a dog", "the pet"], "reg", {}, [Box(*DOG)])]


def test_captions_are_asked_once_an_image() -> None:
    second = {**SAMPLE, "key": "a_1", "captions": ["A  <b> dog", "more"]}
    rows = asked("caption", SAMPLE, second, {**SAMPLE, "key": "b_0", "image_id": "b"})
    assert [(row[0], row[1]) for row in rows] == [("a_0/caption/0", "a"), ("b_0/caption/0", "b")]
    assert rows[0][2] == [CAPTION.strip(), "A <b> dog", "more"]


def test_broken_records_are_left_out_unless_they_are_most() -> None:
    broken = {**SAMPLE, "noun_chunks": [[0, 1, 2]]}
    assert len(asked("rec", SAMPLE, broken)) == 3
    with pytest.raises(UserError, match="2 of 3 records of validation are none"):
        asked("rec", SAMPLE, broken, {"caption": "no key"})


def test_boxes_without_area_are_not_asked() -> None:
    assert (
        len(asked("rec", record("a dog, a cat", ("a dog", "a dog", DOG), ("a cat", "a cat", (0, 0, 0, 1)))))
        == 1
    )


def test_the_image_is_opened_only_when_asked_for() -> None:
    [ask, *_] = questions(Records(SAMPLE), "validation", "rec").asks
    assert ask.image().size == (64, 48)

"""Records and columns of a run as pages show them."""

import json
import math
from typing import Any

import pytest

from gritmill.pipeline.gallery.entry import GalleryEntry
from gritmill.pipeline.gallery.from_record import from_dropped, from_record
from gritmill.pipeline.sources.images import StoredImage
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import BoxCheck, GroundedBox, ImageRef, Span
from gritmill.schemas.conversations import Conversation, Phrase, Turn, TurnRegion, to_json

CAPTION = "A woman walking with her dog in the snow."
WOMAN, DOG = [0.3, 0.1, 0.5, 0.9], [0.5, 0.6, 0.7, 0.9]
RECORD: dict[str, Any] = {
    "key": "a_3",
    "caption": CAPTION,
    "width": 640,
    "height": 426,
    "noun_chunks": [[0, 7, *WOMAN, 0.9], [21, 28, *DOG, 0.8], [21, 28, *WOMAN, 0.7]],
    "ref_exps": [[0, 40, *WOMAN, 0.9], [21, 28, *DOG, 0.8], [21, 28, *WOMAN, 0.7]],
    "boxes": [
        {"model": "m", "phrase": "A woman"},
        {"model": "m", "phrase": "her dog"},
        {"model": "m", "phrase": "her dog"},
    ],
    "image_id": "a",
    "split": "train",
    "image_format": "jpeg",
    "source": {"uri": "a.jpg", "offset": 0, "length": 9},
    "captions": [CAPTION],
    "metadata": '{"license":"CC0"}',
}


def spans(entry: GalleryEntry) -> list[tuple[int, int, int]]:
    return [(phrase["start"], phrase["end"], len(phrase["boxes"])) for phrase in entry["phrases"]]


def test_phrases_are_the_expressions_with_all_their_boxes() -> None:
    entry = from_record(RECORD, {"src": "#0", "width": 640, "height": 426})
    assert spans(entry) == [(0, 40, 1), (21, 28, 2)]
    assert entry["phrases"][0]["boxes"] == [
        {"box": WOMAN, "score": 0.9, "model": "m", "phrase": "A woman", "checks": {}}
    ]
    assert entry["reason"] is None
    assert entry["provenance"]["metadata"] == {"license": "CC0"}
    assert "captions" not in entry["provenance"]
    json.dumps(entry, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ref_exps": None}, [(0, 7, 1), (21, 28, 2)]),
        ({"ref_exps": None, "noun_chunks": None, "boxes": None}, []),
        ({"boxes": None}, [(0, 40, 1), (21, 28, 2)]),
        ({"ref_exps": [[0, 4, math.nan, 0, 1, 1, 1]], "boxes": None}, [(0, 4, 0)]),
    ],
)
def test_what_a_record_lacks_is_not_made_up(
    change: dict[str, Any], expected: list[tuple[int, int, int]]
) -> None:
    record = {name: value for name, value in (RECORD | change).items() if value is not None}
    assert spans(from_record(record)) == expected


def test_boxes_say_what_was_checked_of_them() -> None:
    told: list[dict[str, Any]] = [
        {"checks": {"max_area": True, "agreement": False}},
        {"checks": {"max_area": True, "agreement": None}},  # as Parquet has it
        {},
    ]
    boxes = [origin | more for origin, more in zip(RECORD["boxes"], told, strict=True)]
    woman, dogs = from_record(RECORD | {"boxes": boxes})["phrases"]
    assert woman["boxes"][0]["checks"] == {"max_area": True, "agreement": False}
    assert [box["checks"] for box in dogs["boxes"]] == [{"max_area": True}, {}]


@pytest.mark.parametrize(
    "change", [{"ref_exps": [[0, 4]]}, {"boxes": [{"model": "m", "phrase": "p"}]}, {"conversations": "{}"}]
)
def test_a_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_record(RECORD | change)


def test_boxes_of_conversations_are_numbered_one_by_one() -> None:
    woman, dog = Box(*WOMAN), Box(*DOG)
    phrases = [Phrase(Span(0, 5), [dog]), Phrase(Span(11, 16), [woman, dog])]
    turns = [
        Turn(
            "human",
            "rec",
            "<image>\nWhere is <region:1>, not <region:0>?",
            [TurnRegion([woman, dog]), TurnRegion([dog])],
            [],
        ),
        Turn("assistant", "caption", "A dog sees a cat", [], phrases),
    ]
    entry = from_record(RECORD | {"conversations": to_json([Conversation(turns)])})
    question, answer = entry["turns"]
    assert question["text"] == "<image>\nWhere is <region:2>, not <region:0><region:1>?"
    assert question["boxes"] == [WOMAN, DOG, DOG]
    assert answer["text"] == "A dog<region:0> sees a cat<region:1><region:2>"
    assert answer["boxes"] == [DOG, WOMAN, DOG]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, []),
        ({"noun_chunks": [Span(0, 7), Span(21, 28)]}, [(0, 7, 0), (21, 28, 0)]),
        (
            {
                "noun_chunks": [Span(0, 7), Span(21, 28)],
                "candidates": [GroundedBox(Span(21, 28), Box(*DOG), 0.2, "m", "her dog")],
            },
            [(0, 7, 0), (21, 28, 1)],
        ),
        (
            {
                "noun_chunks": [Span(0, 7)],
                "boxes": [GroundedBox(Span(0, 7), Box(*WOMAN), 0.9, "m", "A woman")],
                "ref_exps": [Span(0, 40)],
            },
            [(0, 40, 1)],
        ),
    ],
)
def test_a_dropped_sample_shows_what_was_known_by_then(
    columns: dict[str, Any], expected: list[tuple[int, int, int]]
) -> None:
    sample = {
        "key": "a_3",
        "image_id": "a",
        "image": StoredImage(ImageRef("a.jpg", 0, 9)),
        "caption": CAPTION,
        "captions": [CAPTION],
        "metadata": "not json",
        **columns,
    }
    entry = from_dropped(sample, None, "select_boxes", "no_box", "0.5", "")
    assert spans(entry) == expected
    found = (entry["stage"], entry["reason"], entry["value"], entry["threshold"])
    assert found == ("select_boxes", "no_box", "0.5", None)
    assert entry["provenance"]["source"]["uri"].endswith("a.jpg")


def test_a_sample_dropped_after_its_boxes_were_checked_tells_of_them() -> None:
    sample = dict.fromkeys(("key", "image_id", "image", "metadata")) | {
        "caption": CAPTION,
        "boxes": [GroundedBox(Span(0, 7), Box(*WOMAN), 0.9, "m", "A woman")],
        "ref_exps": [Span(0, 40)],
        "box_checks": [[BoxCheck("agreement", False, 0.31, 0.5), BoxCheck("max_area", True, 0.2, 0.9)]],
    }
    [woman] = from_dropped(sample, None, "reply_check", "too_long", "", "")["phrases"]
    assert woman["boxes"][0]["checks"] == {"agreement": False, "max_area": True}


def test_a_sample_that_the_source_itself_dropped_may_lack_anything() -> None:
    sample = dict.fromkeys(("key", "image_id", "image", "caption", "captions", "metadata"))
    entry = from_dropped(sample, None, "source", "no_caption", "", "")
    assert (entry["key"], entry["caption"], entry["phrases"]) == ("", "", [])

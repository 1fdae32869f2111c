"""A finished sample as a JSON record, and its regions back."""

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import BoxCheck, GroundedBox, ImageRef, Span
from gritmill.schemas.conversations import Conversation, Provenance, Turn, TurnRegion, from_json, of_record
from gritmill.schemas.records import COLUMNS, Region, to_json, to_record

CAPTION = "a wire hanger with a paper cover that reads we heart our customers"
CHUNK, COVER = Box(0.0194, 0.0276, 0.9593, 0.9695), Box(0.0196, 0.3105, 0.9622, 0.9603)
SAMPLE = {
    "key": "000373938",
    "image_id": "17",
    "caption": CAPTION,
    "captions": [CAPTION, "a hanger"],
    "metadata": '{"url":"u"}',
    "image": SimpleNamespace(ref=ImageRef("00037.tar", 1536, 88210)),
    "width": 1024,
    "height": 693,
    "image_format": "jpeg",
    "split": "train",
    "boxes": [
        GroundedBox(Span(19, 32), COVER, 0.79298526, "glip@1", "a paper cover"),
        GroundedBox(Span(0, 13), CHUNK, 0.67520964, "glip@1", "a wire hanger"),
    ],
    "ref_exps": [Span(19, 66), Span(0, 66)],
}


def test_record_has_the_released_fields_first_and_in_their_form():
    assert to_json(to_record(SAMPLE)).decode() == (
        '{"key":"000373938","caption":"a wire hanger with a paper cover that reads we heart our customers",'
        '"width":1024,"height":693,'
        '"noun_chunks":[[19,32,0.0196,0.3105,0.9622,0.9603,0.79298526],[0,13,0.0194,0.0276,0.9593,0.9695,0.67520964]],'
        '"ref_exps":[[19,66,0.0196,0.3105,0.9622,0.9603,0.79298526],[0,66,0.0194,0.0276,0.9593,0.9695,0.67520964]],'
        '"boxes":[{"model":"glip@1","phrase":"a paper cover"},{"model":"glip@1","phrase":"a wire hanger"}],'
        '"image_id":"17","split":"train","image_format":"jpeg",'
        '"source":{"uri":"00037.tar","offset":1536,"length":88210},'
        '"captions":["a wire hanger with a paper cover that reads we heart our customers","a hanger"],'
        '"metadata":"{\\"url\\":\\"u\\"}"}'
    )


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"boxes": None, "ref_exps": None}, {"noun_chunks", "ref_exps", "boxes"}),
        ({"ref_exps": None}, {"ref_exps"}),
        ({"boxes": [], "ref_exps": []}, set()),
        ({"captions": [], "metadata": ""}, set()),
    ],
)
def test_fields_depend_on_the_columns_alone(change, missing):
    record = to_record(SAMPLE | change)
    assert set(to_record(SAMPLE)) - set(record) == missing
    assert record["captions"][0] == CAPTION
    assert isinstance(json.loads(record["metadata"]), dict)


class Asked(dict[str, Any]):
    """Notes which columns are looked at."""

    def __init__(self, values):
        super().__init__(values)
        self.names = set()

    def __getitem__(self, name):
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)

    def __contains__(self, name):
        self.names.add(name)
        return super().__contains__(name)


def test_a_record_is_made_of_the_columns_that_are_named():
    sample = Asked(SAMPLE)
    to_record(sample)
    assert sample.names == {*COLUMNS, "measured"}


def test_conversations_come_last_as_one_string_and_change_nothing_else():
    talk = Conversation([Turn("human", "reg", "What is in <region:0>?", [TurnRegion([COVER])], [])])
    record = to_record(SAMPLE | {"conversations": [talk]})
    assert list(record)[-2:] == ["conversations", "provenance"]
    assert from_json(record.pop("conversations")) == [talk]
    assert record.pop("provenance") == [Provenance("unknown")._asdict()]
    assert (
        to_json(record) == to_json(to_record(SAMPLE)) == to_json(to_record(SAMPLE | {"conversations": None}))
    )
    assert to_record(SAMPLE | {"conversations": []})["conversations"] == "[]"


ORIGIN = Provenance("parse", "conversation", "openai", "/home/me/llama-3", "3f9a", "b2c4", 812, 143, "stop")
SAID: dict[str, Any] = {
    "task": "conversation",
    "backend": "openai",
    "model": "gpt-4o",
    "prompt": "3f9a",
    "request": "b2c4",
    "tokens_in": 812,
    "tokens_out": 143,
    "finish_reason": "stop",
}
TURNS = '[{"turns":[]}]'


def test_a_conversation_says_where_it_came_from_and_so_does_its_record_without_telling_of_the_machine():
    talk = [Conversation([], ORIGIN), Conversation([], Provenance("tasks", "rec", template="tasks/rec@1c9b"))]
    record = to_record(SAMPLE | {"conversations": talk})
    public = [ORIGIN._replace(model=".../llama-3"), talk[1].provenance]
    assert [each.provenance for each in from_json(record["conversations"])] == public
    assert [Provenance(**found) for found in json.loads(to_json(record))["provenance"]] == public


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({}, []),
        ({"conversations": None, "provenance": None}, []),
        ({"conversations": "[]"}, []),
        ({"conversations": TURNS}, [Provenance("unknown")]),
        ({"conversations": TURNS, "provenance": None}, [Provenance("unknown")]),
        ({"conversations": TURNS, "provenance": [SAID]}, [Provenance("unknown", **SAID)]),
        (
            {"conversations": '[{"turns":[],"provenance":{"maker":"a"}}]', "provenance": [SAID]},
            [Provenance("a")],
        ),
    ],
)
def test_format_1_has_its_provenance_beside_the_conversations_or_none(record, found):
    assert [each.provenance for each in of_record(record)] == found


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": 3},
        {"conversations": TURNS, "provenance": 3},
        {"conversations": TURNS, "provenance": [SAID, SAID]},
        {"conversations": TURNS, "provenance": [{"tokens_in": "many"}]},
        {"provenance": [SAID]},
    ],
)
def test_conversations_that_do_not_fit_their_provenance_are_none(record):
    with pytest.raises(ValueError):
        of_record(record)


def test_parallel_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="longer"):
        to_record(SAMPLE | {"ref_exps": [Span(0, 66)]})


def test_text_is_kept_as_it_is():
    caption = "naïve 👩‍👩‍👧 עברית <b>{x}</b> \u2028 é"
    written = to_json(to_record(SAMPLE | {"caption": caption}))
    assert caption.encode() in written
    assert json.loads(written)["caption"] == caption


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_that_json_does_not_know(value):
    with pytest.raises(ValueError, match="JSON"):
        to_json({"score": value})


def test_region_comes_back_from_its_item():
    region = Region(Span(19, 32), COVER, 0.79)
    assert Region.from_item(region.to_item()) == region
    assert Region.from_item([19.0, 32.0, *COVER, 0.79]) == region  # as Parquet's list<double> gives it


@pytest.mark.parametrize(
    "item",
    [None, 3, "1234567", [0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1, None], [0, True, 0, 0, 1, 1, 1],
     [0.5, 1, 0, 0, 1, 1, 1], [math.nan, 1, 0, 0, 1, 1, 1], [math.inf, 1, 0, 0, 1, 1, 1],
     [10**400, 1, 0, 0, 1, 1, 1], {"a": 1}],
)  # fmt: skip
def test_what_is_no_region(item):
    with pytest.raises(ValueError, match="number"):
        Region.from_item(item)


def test_boxes_say_which_checks_they_passed_where_the_recipe_verifies():
    passed, failed = BoxCheck("agreement", True, 0.8, 0.5), BoxCheck("agreement", False, 0.2, 0.5)
    record = to_record(SAMPLE | {"box_checks": [[passed], [failed]]})
    assert [box["checks"] for box in record["boxes"]] == [{"agreement": True}, {"agreement": False}]
    assert all("checks" not in box for box in to_record(SAMPLE)["boxes"])

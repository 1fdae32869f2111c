import json
import time

import pytest

pytest.importorskip("phonenumbers", reason="needs phonenumbers, which the extra filters installs")

from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.schemas.columns import Reject
from gritmill.stages.filters.personal_data import PersonalData


def batch(*captions):
    return {"caption": list(captions), "captions": [[caption, "a dog"] for caption in captions]}


@pytest.mark.parametrize(
    ("caption", "cleaned", "found"),
    [
        ("a dog in a field", "a dog in a field", 0),
        ("ask ann@example.com, not Bob", "ask [email], not Bob", 1),
        ("Bob.Smith+x@mail.example.co.uk.", "[email].", 1),
        ("call 212-736-5000 or ann@example.com", "call [phone] or [email]", 2),
        ("call (212) 736-5000 now", "call [phone] now", 1),
        ("ring +49 30 901820 in Berlin", "ring [phone] in Berlin", 1),
        ("a dog in 2010-2015", "a dog in 2010-2015", 0),
        ("taken on 2019-05-12 at 10:30", "taken on 2019-05-12 at 10:30", 0),
        ("a 12x18x24 box for $1,299.99", "a 12x18x24 box for $1,299.99", 0),
        ("ISBN 978-3-16-148410-0", "ISBN 978-3-16-148410-0", 0),
        ("look @ this dog@home", "look @ this dog@home", 0),
    ],
)
def test_addresses_and_numbers_are_replaced_and_nothing_else(caption, cleaned, found):
    assert PersonalData().process(batch(caption)) == {
        "caption": [cleaned],
        "captions": [[cleaned, "a dog"]],
        "personal_data": [found],
    }


def test_numbers_without_a_plus_are_those_of_the_region():
    caption = "call 020 7946 0018"
    assert PersonalData(region="GB").clean(caption).text == "call [phone]"
    assert PersonalData(region="US").clean(caption).text == caption


def test_samples_can_be_dropped_instead():
    found = PersonalData(max_found=0).process(batch("ask ann@example.com", "a dog"))
    assert found["personal_data"] == [Reject("personal_data", 1, 0), 0]


def test_measure_counts_and_rewrites_nothing():
    given = batch("ask ann@example.com")
    assert PersonalData(mode="measure", max_found=0).process(given) == {**given, "personal_data": [1]}


def test_what_takes_the_place_is_an_option():
    assert PersonalData(email="", phone=r"\1").clean("ann@example.com 212-736-5000").text == r" \1"


@pytest.mark.parametrize("text", ["a" * 9999, "a@" * 4999, "1-" * 4999, "a.b@" * 2499, "(1) " * 2499])
def test_hostile_captions_do_not_take_for_ever(text):
    start = time.process_time()
    PersonalData().process(batch(text))
    assert time.process_time() - start < 30  # some rules are quadratic, and MAX_CHARACTERS bounds them


def test_what_is_too_long_to_search_is_dropped():
    long = "a" * 10_001
    found = PersonalData().process({"caption": ["a dog", long], "captions": [["a dog", long], [long]]})
    assert found["personal_data"] == [0, Reject("too_many_characters", 10_001, 10_000)]
    assert found["captions"] == [["a dog"], []]


def test_an_unknown_region_is_a_sentence():
    [said] = PersonalData(region="ZZ").problems()
    assert said.startswith("region 'ZZ' has no telephone numbers")


def test_captions_are_not_rewritten_under_the_feet_of_noun_chunks(write_recipe):
    stages = ["image_check", "noun_chunks", "personal_data"]
    with pytest.raises(RecipeError, match="put it before noun_chunks"):
        load_recipe(str(write_recipe("type: scenes, count: 1", stages)))
    load_recipe(str(write_recipe("type: scenes, count: 1", ["image_check", "personal_data", "noun_chunks"])))


def test_human_captions_stay_as_they_are(coco_mini):
    rows = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    captions = [row["caption"] for row in rows]
    assert PersonalData().process(batch(*captions))["caption"] == captions

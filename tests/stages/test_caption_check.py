import json
import time

import pytest
from pydantic import ValidationError

from gritmill import prompts
from gritmill.schemas.columns import Reject
from gritmill.stages.caption_check import CaptionCheck, repetition, script_share


def check(caption: str, **options) -> int | Reject:
    """The number of words, or the reason that the engine takes: the first in the order of the columns."""
    stage = CaptionCheck(**options)
    judged = stage.process({"caption": [caption]})
    row = [judged[name][0] for name in stage.writes]
    return next((value for value in row if isinstance(value, Reject)), judged["words"][0])


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog in a field of flowers.", 7),
        ("  a dog \n - in a   field ", 5),
        ("a dog and a cat and a bird and a cow", 11),
        ("New York, New York", 4),
        ("a café, un été 👍", 4),
        ("a dog <b>in</b> {field}", 4),
        ("visit www.example.com for a dog", 5),
        ("Imagery of a dog", 4),
        ("an image may contain a dog", 6),
        ("How to open a .png", 5),
        ("a 犬 b", 3),
    ],
)
def test_a_caption_of_a_picture_passes_with_its_words_counted(caption, words):
    assert check(caption) == words


@pytest.mark.parametrize(
    ("caption", "reject"),
    [
        ("", Reject("missing")),
        (" \n\t ", Reject("missing")),
        ("dog", Reject("too_few_words", 1, 3)),
        ("👍 👍 👍 !", Reject("too_few_words", 0, 3)),
        ("a dog " * 101, Reject("too_many_words", 202, 200)),
        ("x" * 100_000, Reject("too_many_characters", 100_000, 2000)),
        ("собака в поле бежит", Reject("script", 0.0, 0.5)),
        ("صورة كلب في حقل", Reject("script", 0.0, 0.5)),
        ("a犬犬犬 犬 犬 犬犬犬", Reject("script", 0.1111, 0.5)),
        ("123 456 789", Reject("script", 0.0, 0.5)),
        ("buy Buy, BUY! now", Reject("repetition", 0.75, 0.7)),
        ("red shoes red shoes red shoes now", Reject("repetition", 0.8571, 0.7)),
        ("http://example.com/a/b.jpg", Reject("url", "http://example.com/a/b.jpg")),
        (
            " www.example.com, (https://example.org/x) ",
            Reject("url", "www.example.com, (https://example.org/x)"),
        ),
        ("shop.example.co/x", Reject("url", "shop.example.co/x")),
        ("IMG_1234.JPG", Reject("boilerplate", "IMG_1234.JPG")),
        ("my dog photo.jpg", Reject("boilerplate", "my dog photo.jpg")),
        ("DSC 00123", Reject("boilerplate", "DSC 00123")),
        ("Stock  Photo!", Reject("boilerplate", "Stock  Photo!")),
        ("Image may contain: 2 people", Reject("boilerplate", "Image may contain: 2 people")),
        ("Click here to enlarge", Reject("boilerplate", "Click here to enlarge")),
        ("A dog. CLICK TO ENLARGE", Reject("boilerplate", "A dog. CLICK TO ENLARGE")),
    ],
)
def test_a_drop_says_why_with_value_and_threshold(caption, reject):
    assert check(caption) == reject


def test_words_without_a_letter_are_dropped_where_asked():
    assert check("bolt 8 12 400", min_alphabetic=0.8) == Reject("alphabetic", 0.25, 0.8)


@pytest.mark.parametrize(
    ("caption", "options"),
    [
        ("dog", {"min_words": 1}),
        ("x " * 1500, {"max_words": None, "max_characters": None, "max_repetition": None}),
        ("собака в поле", {"script": None}),
        ("собака в поле", {"script": "cyrillic"}),
        ("buy buy buy buy", {"max_repetition": None}),
        ("http://example.com", {"boilerplate": False, "min_words": 1}),
        ("Image may contain: 2 people", {"boilerplate": False}),
    ],
)
def test_every_rule_can_be_switched_off(caption, options):
    assert isinstance(check(caption), Reject)
    assert isinstance(check(caption, **options), int)


MEASURED = ("characters", "words", "alphabetic", "script_share", "repetition", "boilerplate")


@pytest.mark.parametrize(
    ("caption", "row"),
    [
        ("a dog in a field", (16, 5, 1.0, 1.0, 0.0, False)),
        ("buy buy buy now", (15, 4, 1.0, 1.0, 0.75, False)),
        ("bolt 8 12 400", (13, 4, 0.25, 1.0, 0.0, False)),
        ("собака 犬", (8, 2, 1.0, 0.0, 0.0, False)),
        ("www.example.com", (15, 1, 1.0, 1.0, 0.0, True)),
        ("!", (1, 0, 0.0, 0.0, 0.0, False)),
        (" ", (1, Reject("missing"), None, None, None, False)),
    ],
)
def test_measure_says_what_there_is_and_drops_only_what_is_missing(caption, row):
    found = CaptionCheck(mode="measure").process({"caption": [caption]})
    assert tuple(found) == MEASURED
    assert tuple(found[name][0] for name in MEASURED) == row


def test_characters_are_counted_even_where_a_caption_is_dropped():
    batch = {"caption": ["", "e\u0301", "a dog in a field"]}
    assert CaptionCheck().process(batch)["characters"] == [0, 2, 16]


def test_min_words_above_max_words_is_refused():
    with pytest.raises(ValidationError, match="max_words 2 is less than min_words 3"):
        CaptionCheck(max_words=2)


@pytest.mark.parametrize("caption", ["a-" * 300_000, "a." * 300_000, "img " * 100_000, "http://" * 100_000])
def test_hostile_captions_take_linear_time(caption):
    start = time.process_time()
    check(caption, max_characters=None)
    assert time.process_time() - start < 5  # a quadratic rule takes minutes


def test_shares():
    assert script_share("Ωa1 !", "greek") == 0.5
    assert script_share("12", "latin") == 0.0
    assert repetition([]) == 0.0
    assert repetition(["a", "a"]) == 0.0  # twice is no repetition
    assert repetition(["a"] * 3) == 1.0


def test_every_phrase_of_the_list_is_dropped():
    for line in prompts.word_list("boilerplate"):
        caption = line.replace("...", "some words")
        assert check(caption, min_words=0) == Reject("boilerplate", caption), line


def test_human_captions_all_pass(coco_mini):
    annotations = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    words = CaptionCheck().process({"caption": [row["caption"] for row in annotations]})["words"]
    assert [row for row in words if isinstance(row, Reject)] == []

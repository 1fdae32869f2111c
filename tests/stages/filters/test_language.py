import json

import pytest

pytest.importorskip("py3langid", reason="needs py3langid, which the extra nlp installs")

from gritmill.schemas.columns import Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.filters.language import Language, guess


def judged(caption: str, **options):
    found = Language(**options).process({"caption": [caption]})
    return next((v[0] for v in found.values() if isinstance(v[0], Reject)), found["language"][0])


@pytest.mark.parametrize(
    ("caption", "language"),
    [
        ("A woman walking with her dog in the snow.", "en"),
        ("A WOMAN WALKING WITH HER DOG IN THE SNOW", "en"),
        ("Eine Frau geht mit ihrem Hund im Schnee spazieren", "de"),
        ("Женщина гуляет с собакой по снегу", "ru"),
        ("犬が野原を走っている", "ja"),
        ("a dog", None),
        ("", None),
    ],
)
def test_a_language_is_told_where_there_is_enough_text(caption, language):
    found = guess(caption)
    assert (found and found.language) == language
    assert found is None or 0 < found.confidence <= 1


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, Reject("language", "de", ["en"])),
        ({"languages": ["en", "de"]}, "de"),
        ({"languages": None}, "de"),
        ({"languages": None, "min_confidence": 1.0}, "unsure"),
        ({"mode": "measure"}, "de"),
    ],
)
def test_captions_in_another_language_are_dropped(options, verdict):
    found = judged("Eine Frau geht mit ihrem Hund im Schnee", **options)
    assert (found.reason == "language_unsure") if verdict == "unsure" else (found == verdict)


def test_what_is_too_short_to_tell_is_kept():
    assert Language().process({"caption": ["a dog", None]}) == {
        "language": [None, None],
        "language_confidence": [None, None],
    }


def test_a_language_that_nobody_knows_is_a_sentence():
    with pytest.raises(UserError, match="language 'english' is not known; use an ISO 639-1 code"):
        Language(languages=["english"]).setup()


def test_human_captions_are_all_english(coco_mini):
    rows = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    found = Language().process({"caption": [row["caption"] for row in rows]})
    assert {value for value in found["language"] if value} == {"en"}

import json

import pytest

from gritmill import prompts
from gritmill.schemas.columns import Reject
from gritmill.stages.filters.profanity import WORD, Profanity


def judged(caption, **options):
    [found] = Profanity(**options).process({"caption": [caption]})["profane_words"]
    return found


@pytest.mark.parametrize(
    ("caption", "options", "verdict"),
    [
        ("a dog in a field", {}, 0),
        ("a Fucking dog", {}, Reject("profanity", 1, 0)),
        ("(porn), porn!", {}, Reject("profanity", 2, 0)),
        ("(porn), porn!", {"max_profane_words": 2}, 2),
        ("a Fucking dog", {"mode": "measure"}, 1),
        ("an ass, a cock and a great tit near Scunthorpe", {}, 0),
        (None, {}, 0),
    ],
)
def test_words_of_the_list_are_counted_whole(caption, options, verdict):
    assert judged(caption, **options) == verdict


def test_a_list_of_ones_own_takes_the_place_of_ours(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# ours\nVERDAMMT\n\n", encoding="utf-8")
    assert judged("ein verdammter, verdammt fucking Hund", words=str(path)) == Reject("profanity", 1, 0)
    assert Profanity(words=str(path)).revision() != Profanity().revision()


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), ("# nothing\n", "is empty"), ("two words\n", "no single word")],
)
def test_a_list_that_is_none_is_a_sentence(tmp_path, content, problem):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    [said] = Profanity(words=str(path)).problems()
    assert problem in said


def test_the_list_can_be_matched_and_is_sorted():
    listed = prompts.word_list("profanity")
    assert list(listed) == sorted(set(listed))
    assert all(WORD.fullmatch(word) and word == word.casefold() for word in listed)


def test_human_captions_all_pass(coco_mini):
    rows = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    found = Profanity().process({"caption": [row["caption"] for row in rows]})["profane_words"]
    assert set(found) == {0}

import pytest

from schemas.columns import Reject
from stages.caption_check import CaptionCheck, repetition, script_share


def reason(caption: str, **options: object) -> str | None:
    out = CaptionCheck(**options).process({"caption": [caption]})  # type: ignore[arg-type]
    [words] = out["words"]
    assert out["characters"] == [len(caption)]
    return words.reason if isinstance(words, Reject) else None


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog in a field of flowers.", None),
        ("Un été à la plage avec mon père", None),
        ("A sign that says СТОП on a street", None),
        ("a man with a hat and a man with a dog", None),
        ("dog days 🐕🐕🐕 are here", None),
        ("The photographer takes a stock photo", "boilerplate"),
        ("A child reads a book about photo credits", None),
        ("", "missing"),
        (" \n\t", "missing"),
        ("a dog", "too_few_words"),
        ("word " * 257 + "and more", "too_many_words"),
        ("x" * 2001, "too_many_characters"),
        ("x" * 100_000, "too_many_characters"),
        ("Собака бежит по полю", "script"),
        ("犬が野原を走っている", "script"),
        ("كلب في حقل من الزهور", "script"),
        ("12 34 56 78", "script"),
        ("🐕 🐕 🐕 🐕", "script"),
        ("buy buy buy buy", "repetition"),
        ("sale sale sale sale of shoes", "repetition"),
        ("https://example.com/a/b.html", "no_prose"),
        ("www.example.com", "no_prose"),
        ("someone@example.com", "no_prose"),
        ("IMG_2031.JPG", "no_prose"),
        ("DSC 0042", "no_prose"),
        ("holiday-2019 (3).png", None),
        ("Click here to see the dog", "boilerplate"),
        ("Image may contain: one dog, outdoors", "boilerplate"),
        ("A dog on a lawn - Stock Photo", "boilerplate"),
        ("<script>alert('a dog')</script> {x}", None),
    ],
)
def test_what_is_dropped_and_why(caption: str, expected: str | None) -> None:
    assert reason(caption) == expected


@pytest.mark.parametrize(
    ("options", "caption"),
    [
        ({"script": None}, "Собака бежит по полю"),
        ({"script": "CYRILLIC"}, "Собака бежит по полю"),
        ({"max_repetition": None}, "buy buy buy buy"),
        ({"boilerplate": False}, "Click here to see the dog"),
        ({"min_words": 1}, "dogs"),
        ({"max_characters": 5000, "max_words": 5000}, "a dog " * 500),
    ],
)
def test_every_check_can_be_switched_off_or_moved(options: dict[str, object], caption: str) -> None:
    assert reason(caption) is not None
    assert reason(caption, **options) is None or options.get("max_characters")


def test_a_drop_says_what_was_measured() -> None:
    out = CaptionCheck().process({"caption": ["a dog", "buy buy buy"]})
    assert out["words"] == [Reject("too_few_words", 2, 3), Reject("repetition", 1.0, 0.5)]


def test_shares() -> None:
    assert script_share("abc дe", "LATIN") == 0.8
    assert script_share("", "LATIN") == 0.0
    assert repetition(["a", "A", "b", "c", "d", "e"]) == pytest.approx(1 / 3)

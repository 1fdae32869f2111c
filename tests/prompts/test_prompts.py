"""The word lists as files: what is read of them, and what tells one content from another."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gritmill import prompts

FILES = sorted(path.stem for path in prompts.HERE.glob("*.txt"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in the place of ours."""
    monkeypatch.setattr(prompts, "HERE", tmp_path)
    prompts.word_list.cache_clear()
    prompts.digest.cache_clear()
    yield tmp_path
    prompts.word_list.cache_clear()
    prompts.digest.cache_clear()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("# only a comment\n", ()),
        ("a\nb\n", ("a", "b")),
        ("# head\n\n  a  \n\tb\r\n\nno end", ("a", "b", "no end")),
        ("naïve café\n犬\n", ("naïve café", "犬")),
        ("c# is a word\n", ("c# is a word",)),
        ("twice\ntwice\n", ("twice", "twice")),
    ],
)
def test_lines_without_comments_and_blanks(folder: Path, text: str, lines: tuple[str, ...]) -> None:
    (folder / "some.txt").write_bytes(text.encode())
    assert prompts.word_list("some") == lines


def test_a_digest_is_of_the_bytes(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"# head\ndog\n")
    (folder / "b.txt").write_bytes(b"dog\n")
    assert prompts.digest("a") == hashlib.sha256(b"# head\ndog\n").hexdigest()[:16]
    assert prompts.digest("a") != prompts.digest("b")


def test_a_list_that_is_not_there_is_no_empty_list() -> None:
    with pytest.raises(FileNotFoundError):
        prompts.word_list("nowhere")
    with pytest.raises(FileNotFoundError):
        prompts.digest("nowhere")


@pytest.mark.parametrize("name", FILES)
def test_every_list_says_what_it_is_and_holds_something_once(name: str) -> None:
    assert (prompts.HERE / f"{name}.txt").read_text(encoding="utf-8").startswith("# ")
    words = prompts.word_list(name)
    assert words
    assert len(set(words)) == len(words)
    assert all(word == word.strip() for word in words)


def test_the_abstract_nouns_are_the_fourteen_published_ones() -> None:
    published = "time life love freedom happiness wisdom peace justice hope courage faith understanding"
    assert prompts.word_list("abstract_nouns") == (*published.split(), "advantage", "pursuit")


@pytest.mark.parametrize("name", ["abstract_nouns", "pronouns", "relative_pronouns"])
def test_words_that_are_compared_in_lower_case_are_in_lower_case(name: str) -> None:
    assert [word for word in prompts.word_list(name) if word != word.lower() or " " in word] == []

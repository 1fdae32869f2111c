"""Drops captions that cannot describe a picture, before anything costly looks at them."""

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from gritmill import prompts
from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.filters.base import AtLeast, AtMost, Filter

# Matched against a whole word, from its beginning: a search would be quadratic on hostile captions.
URL = re.compile(r"(?:https?://|www\.).*|(?:[\w-]+\.)+(?:com|org|net|info|io|co)(?:[/?#].*)?", re.I)
FILE_NAME = re.compile(
    r"[^/\\]+\.(?<!\s\.)(?:jpe?g|png|gif|webp|bmp|tiff?|heic|svg)"
    r"|(?:img|dsc|dscn|dscf|pict|image|photo|screenshot)[-_ ]?\d+",
    re.I,
)

Script = Literal["arabic", "cyrillic", "devanagari", "greek", "han", "hangul", "hebrew", "latin", "thai"]

SCRIPTS: dict[Script, str] = {
    "arabic": "ARABIC",
    "cyrillic": "CYRILLIC",
    "devanagari": "DEVANAGARI",
    "greek": "GREEK",
    "han": "CJK",
    "hangul": "HANGUL",
    "hebrew": "HEBREW",
    "latin": "LATIN",
    "thai": "THAI",
}
"""How the Unicode names of a script's letters begin."""


class CaptionCheck(Filter):
    """Caption -> its length and how it is written, or the reason to drop it.

    "a dog in a field" -> 16 characters, 5 words, alphabetic 1.0, script_share 1.0, repetition 0.0, False
    "buy buy buy now" -> Reject("repetition", 0.75, 0.7)

    A word is what lies between white space and has a letter or digit. Reasons: missing,
    too_many_characters, url, boilerplate, too_few_words, too_many_words, alphabetic, script, repetition.
    Published pipelines give no figures for captions; the defaults are ours.
    """

    reads = ("caption",)
    writes = {
        "characters": int,
        "words": int,
        "alphabetic": float,
        "script_share": float,
        "repetition": float,
        "boilerplate": bool,
    }
    bounds = (
        AtMost("characters", "max_characters", "too_many_characters"),
        AtLeast("words", "min_words", "too_few_words"),
        AtMost("words", "max_words", "too_many_words"),
        AtLeast("alphabetic", "min_alphabetic", "alphabetic"),
        AtLeast("script_share", "min_script_share", "script"),
        AtMost("repetition", "max_repetition", "repetition"),
    )

    batch_size: int = Field(default=4096, ge=1)
    min_words: int = Field(default=3, ge=0)
    """Fewest words that a caption may have."""
    max_words: int | None = Field(default=200, ge=1)
    """Most words that a caption may have; null for any number."""
    max_characters: int | None = Field(default=2000, ge=1)
    """Most characters that a caption may have; null for any number."""
    min_alphabetic: float | None = Field(default=None, ge=0, le=1)
    """Share of the words that must have a letter, against part numbers and prices; null for any share.
    Gopher (arXiv 2112.11446) asks 0.8 of a page of the web."""
    script: Script | None = "latin"
    """Script that a caption must be written in, a quick test of its language; null for any."""
    min_script_share: float = Field(default=0.5, ge=0, le=1)
    """Share of a caption's letters that must be of `script`."""
    max_repetition: float | None = Field(default=0.7, ge=0, le=1)
    """Most of a caption's words that one word, pair or triple may make up by coming three times or
    more; null for any share."""
    boilerplate: bool = True
    """Drops URLs, file names and the phrases of prompts/boilerplate.txt."""

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words {self.max_words} is less than min_words {self.min_words}")
        return self

    def revision(self) -> dict[str, str]:
        # Unicode's version decides what a letter is.
        return {"boilerplate": prompts.digest("boilerplate"), "unicode": unicodedata.unidata_version}

    def measure(self, batch: Columns) -> Columns:
        rows = [self._measured(caption or "") for caption in batch["caption"]]
        return {name: [row[i] for row in rows] for i, name in enumerate(self.writes)}

    def process(self, batch: Columns) -> Columns:
        judged = super().process(batch)
        if self.mode == "drop" and self.boilerplate:
            for i, caption in enumerate(batch["caption"]):
                if judged["boilerplate"][i]:
                    judged["words"][i] = _boilerplate(caption, _plain(_words(caption)))
        return judged

    def _measured(self, caption: str) -> tuple[Any, ...]:
        if not caption.strip():
            return len(caption), Reject("missing"), None, None, None, False
        words = _words(caption)
        plain = _plain(words)
        return (
            len(caption),
            len(words),
            sum(map(_has_letter, words)) / len(words) if words else 0.0,
            script_share(caption, self.script) if self.script else None,
            repetition(plain),
            _boilerplate(caption, plain) is not None,
        )


def script_share(text: str, script: Script) -> float:
    """Share of the letters of a text that are of a script, 0..1; 0 for a text without letters."""
    if text.isascii():  # most captions: one letter decides
        return float(script == "latin" and any(map(str.isalpha, text)))
    letters = Counter(filter(str.isalpha, text))
    ours = sum(count for letter, count in letters.items() if _script_name(letter).startswith(SCRIPTS[script]))
    return ours / letters.total() if letters else 0.0


def repetition(words: list[str]) -> float:
    """Share of the words that the commonest word, pair or triple covers, if it comes at least thrice.

    Twice is what people do: "New York, New York", "a man and a woman".

    >>> repetition("buy shoes buy shoes buy shoes now".split())
    0.8571428571428571
    """
    covered = 0
    pairs, triples = pairwise(words), zip(words, words[1:], words[2:])
    for size, grams in enumerate((words, pairs, triples), 1):
        count = max(Counter(grams).values(), default=0)
        if count < 3:  # and so does no longer one come thrice
            break
        covered = max(covered, count * size)
    return min(covered / len(words), 1.0) if words else 0.0


class _Phrases(NamedTuple):
    whole: frozenset[str]
    starts: tuple[str, ...]
    ends: tuple[str, ...]


@cache
def _phrases() -> _Phrases:
    """prompts/boilerplate.txt by where in a caption its phrases are looked for."""
    lines = [line.casefold() for line in prompts.word_list("boilerplate")]
    starts = tuple(line.removesuffix("...") for line in lines if line.endswith(" ..."))
    ends = tuple(line.removeprefix("...") for line in lines if line.startswith("... "))
    return _Phrases(frozenset(line for line in lines if "..." not in line), starts, ends)


def _boilerplate(caption: str, words: list[str]) -> Reject | None:
    """The reject of a caption that is nothing but URLs, a file name or a phrase of the list. `words` are
    its own, plain."""
    if words and all(map(URL.fullmatch, words)):
        return Reject("url", caption.strip())
    text = " ".join(words)
    phrases = _phrases()
    # The phrases of a beginning end in a space, those of an end begin with one: whole words only.
    if (
        text in phrases.whole
        or f"{text} ".startswith(phrases.starts)
        or f" {text}".endswith(phrases.ends)
        or FILE_NAME.fullmatch(_bare(caption).casefold())
    ):
        return Reject("boilerplate", caption.strip())
    return None


def _words(caption: str) -> list[str]:
    """`"(A dog) -- runs!"` -> `["A", "dog", "runs"]`."""
    return [bare for word in caption.split() if (bare := _bare(word))]


def _plain(words: list[str]) -> list[str]:
    return [word.casefold() for word in words]


def _bare(text: str) -> str:
    """Without anything but letters and digits at its ends: `"(Photo!)"` -> `"Photo"`."""
    if text.isalnum():  # most words
        return text
    first, last = 0, len(text)
    while first < last and not text[first].isalnum():
        first += 1
    while first < last and not text[last - 1].isalnum():
        last -= 1
    return text[first:last]


def _has_letter(word: str) -> bool:
    return word.isalpha() or any(map(str.isalpha, word))


@lru_cache(maxsize=65536)
def _script_name(letter: str) -> str:
    return unicodedata.name(letter, "")

"""Drops captions that cannot teach anything: too short or long, another script, repetition, boilerplate."""

import re
import unicodedata
from collections import Counter
from functools import cache

from pydantic import Field

import prompts
from schemas.columns import Columns, Reject
from stages.base import Stage

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_NOT_PROSE = re.compile(
    r"(?:https?://|www\.)\S+"  # a link
    r"|\S+@\S+\.\w+"  # an address
    r"|[\w()./\\-]+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|pdf|html?)"  # a file name
    r"|(?:img|dsc[nf]?|image|photo|pic|p|screenshot|untitled)[\s_-]*\d[\d\s_().-]*",  # a camera's name for it
    re.IGNORECASE,
)


class CaptionCheck(Stage):
    """Captions -> how long they are, if they say something in a script that the parser reads.

    "a dog in a field"  -> words 5, characters 16
    "buy buy buy buy"   -> Reject("repetition", 1.0, 0.5)
    "Собака в поле"     -> Reject("script", 0.0, 0.5)
    "IMG_2031.JPG"      -> Reject("no_prose")

    All limits are our choice: what GRIT's construction did to captions before parsing is not published.
    """

    reads = ("caption",)
    writes = {"words": int, "characters": int}

    batch_size: int = Field(default=4096, ge=1)
    """Rows handed to one call."""
    min_words: int = Field(default=3, ge=0)
    """Fewest words."""
    max_words: int = Field(default=256, ge=1)
    """Most words."""
    max_characters: int = Field(default=2000, ge=1)
    """Most characters; looked at first, so that a huge caption costs nothing more."""
    script: str | None = "LATIN"
    """Script that the letters should have, as Unicode names it (LATIN, CYRILLIC, ...); null for any."""
    min_script_share: float = Field(default=0.5, ge=0, le=1)
    """Smallest share of the letters that must be of that script."""
    max_repetition: float | None = Field(default=0.5, gt=0, le=1)
    """Largest share of the words that may be one and the same word, in captions of six words and
    more or where one word fills the caption; null switches it off."""
    boilerplate: bool = True
    """Drop what prompts/boilerplate.txt lists, links, addresses and file names."""

    def revision(self) -> dict[str, str]:
        return {"boilerplate": prompts.digest("boilerplate"), "unicode": unicodedata.unidata_version}

    def process(self, batch: Columns) -> Columns:
        measured = [self._check(caption) for caption in batch["caption"]]
        return {
            "words": [m if isinstance(m, Reject) else m[0] for m in measured],
            "characters": [len(caption) for caption in batch["caption"]],
        }

    def _check(self, caption: str) -> tuple[int, int] | Reject:
        if len(caption) > self.max_characters:
            return Reject("too_many_characters", len(caption), self.max_characters)
        if not caption.strip():
            return Reject("missing")
        if self.boilerplate and (found := _boilerplate(caption)):
            return Reject(found)
        if self.script and (share := script_share(caption, self.script)) < self.min_script_share:
            return Reject("script", round(share, 3), self.min_script_share)
        words = _WORD.findall(caption)
        if len(words) < self.min_words:
            return Reject("too_few_words", len(words), self.min_words)
        if len(words) > self.max_words:
            return Reject("too_many_words", len(words), self.max_words)
        if self.max_repetition is not None and (share := repetition(words)) > self.max_repetition:
            return Reject("repetition", round(share, 3), self.max_repetition)
        return len(words), len(caption)


def script_share(text: str, script: str) -> float:
    """Share of the letters that are of a script, 0..1; 0 where there are no letters."""
    if text.isascii():
        return float(script == "LATIN" and any(map(str.isalpha, text)))
    letters = [_script_of(c) for c in text if c.isalpha()]
    return letters.count(script) / len(letters) if letters else 0.0


def repetition(words: list[str]) -> float:
    """Share of the most frequent word, where that says something: short captions repeat by chance."""
    if not words:
        return 0.0
    share = Counter(map(str.lower, words)).most_common(1)[0][1] / len(words)
    return share if len(words) >= 6 or (share == 1 and len(words) > 1) else 0.0


@cache
def _script_of(letter: str) -> str:
    """The first word of a letter's name: LATIN for "é", CYRILLIC for "я"."""
    return unicodedata.name(letter, "").partition(" ")[0]


def _boilerplate(caption: str) -> str | None:
    text = caption.strip()
    if _NOT_PROSE.fullmatch(text):
        return "no_prose"
    plain = " ".join(_WORD.findall(text.lower()))
    return "boilerplate" if _phrases().search(plain) else None


@cache
def _phrases() -> re.Pattern[str]:
    """One pattern that finds any listed phrase at the start or the end of a caption."""
    listed = "|".join(re.escape(phrase) for phrase in prompts.word_list("boilerplate"))
    return re.compile(rf"^(?:{listed})\b|\b(?:{listed})$")

"""Runs of words that two texts share, however they are set and spelled."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """What counts of a text: letters and digits, in one case and one form, without accents.

    >>> words_of("What's the man's SHIRT colour, café-style?")
    ['whats', 'the', 'mans', 'shirt', 'colour', 'cafe', 'style']
    """
    plain = unicodedata.normalize(
        "NFKD", text.replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    )
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return _WORD.findall(plain.casefold())


def ngrams(text: str, n: int) -> Iterator[str]:
    """Every run of `n` words; nothing of a text that is shorter."""
    words = words_of(text)
    for i in range(len(words) - n + 1):
        yield " ".join(words[i : i + n])


class Ngrams:
    """The runs of words of many texts, and which text each came from."""

    def __init__(self, texts: Iterable[str], n: int) -> None:
        self.n = n
        self._owner: dict[str, int] = {}
        for number, text in enumerate(texts):
            for run in ngrams(text, n):
                self._owner.setdefault(run, number)

    def shared(self, text: str) -> tuple[int, str] | None:
        """The first run that a text shares with one of the many: that one's number, and the run."""
        if self._owner:
            for run in ngrams(text, self.n):
                if (number := self._owner.get(run)) is not None:
                    return number, run
        return None

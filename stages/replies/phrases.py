"""Looking for phrases of a list in text that a language model wrote."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from gritmill import prompts

_QUOTED = re.compile(r'"[^"\n]{1,300}"|“[^”\n]{1,300}”|«[^»\n]{1,300}»')
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]{0,3}\s+|\n+")


def words(text: str) -> list[str]:
    """Case folded words: `words("I can’t: sorry!") == ["i", "can't", "sorry"]`."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def sentences(text: str) -> list[str]:
    """Cut after `.`, `!` or `?` and at line ends; an abbreviation is cut, too."""
    return [sentence for sentence in map(str.strip, _SENTENCE_END.split(text)) if sentence]


def unquoted(text: str) -> str:
    """A text without what it quotes; the whole of it if it is nothing but a quotation.

    >>> unquoted('A sign says "I am sorry".')
    'A sign says  .'
    """
    rest = _QUOTED.sub(" ", text)
    return rest if any(map(str.isalnum, rest)) else text


class PhraseList(NamedTuple):
    """A list of phrases, each with spaces around it, to be found in `flat` text."""

    starts: tuple[str, ...]
    anywhere: tuple[str, ...]

    def in_(self, text: str) -> str | None:
        """The first phrase of the list that the text begins with or has in it."""
        flat = _flat(text)
        found = next((phrase for phrase in self.starts if flat.startswith(phrase)), None)
        return (found or next((phrase for phrase in self.anywhere if phrase in flat), "")).strip() or None


@cache
def phrases(name: str) -> PhraseList:
    """`prompts/<name>.txt`: "phrase ..." for a beginning, other lines for anywhere."""
    lines = prompts.word_list(name)
    starts = tuple(_flat(line) for line in lines if line.endswith("..."))
    return PhraseList(starts, tuple(_flat(line) for line in lines if not line.endswith("...")))


@cache
def excusable(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`prompts/<name>.txt`: "phrase: word, word" -> phrases with the words that excuse them."""
    parts = (line.partition(":") for line in prompts.word_list(name))
    return tuple(
        (_flat(phrase), tuple(map(_flat, filter(str.strip, rest.split(","))))) for phrase, _, rest in parts
    )


def unexcused(name: str, text: str, captions: str) -> Iterator[str]:
    """The phrases of a list that a text has, without those that the captions give reason for."""
    flat, told = _flat(text), _flat(captions)
    for phrase, excuses in excusable(name):
        if phrase in flat and not any(excuse in told for excuse in excuses):
            yield phrase.strip()


def _flat(text: str) -> str:
    return f" {' '.join(words(text))} "

"""Tokens of a text without its model's tokenizer: what it likely has, and what it cannot exceed."""

import math
import re
from collections.abc import Iterable
from functools import lru_cache

_PIECES = re.compile(r"[^\W\d_]+|\d|\s*[^\w\s]+|\n+|_+|[^\S\n]{2,}")
_LETTERS_A_TOKEN = 7
_MARGIN = 1.1
_A_MESSAGE = 8
"""Tokens around a message in the chat formats of the common models: role, separators."""
_MOST_AROUND = 256
"""Allows for what a chat template adds on its own, such as a default system message."""


def likely_tokens(texts: Iterable[str]) -> int:
    """An estimate from above for texts that are sent as messages.

    Counts as byte-pair vocabularies do: a word of up to 7 letters is a token, longer ones more; every
    digit is one (GPT-4's take up to three together); marks side by side are one; letters of other scripts
    one a character; and a tenth on top. That is 0 to 15 % above the count of SmolLM2, whose vocabulary
    is small.
    """
    return sum(_A_MESSAGE + _tokens(text) for text in texts)


def most_tokens(texts: Iterable[str]) -> int:
    """A bound that no server's count exceeds: a token of text has one byte of UTF-8 at least."""
    return _MOST_AROUND + sum(2 * _A_MESSAGE + len(text.encode("utf-8", "replace")) for text in texts)


@lru_cache(maxsize=256)  # most of a request are the examples, the same for all samples
def _tokens(text: str) -> int:
    counts = (
        math.ceil(len(piece) / _LETTERS_A_TOKEN) if piece.isascii() else len(piece)
        for piece in _PIECES.findall(text)
    )
    return math.ceil(_MARGIN * sum(counts))

"""Captions as deduplication and counting see them."""

import re
import unicodedata

_NO_WORD = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """Compatible characters, case, punctuation and spaces made one; text of nothing else stays as it is.

    >>> normalised("  A dog,  in Straße № 3. ")
    'a dog in strasse no 3'
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _NO_WORD.sub(" ", plain).strip() or text

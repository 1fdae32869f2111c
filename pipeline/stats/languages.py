"""Which languages captions are in, by a guess at a few thousand of them.

py3langid goes by byte n-grams and knows 97 languages. Of the 400 captions of coco_mini, ten words each, it
takes all for English; texts too short to tell are left out. A share of a few per cent says nothing: that is
how often it errs on short texts.
"""

import hashlib
import importlib.util
from collections import Counter
from heapq import heappush, heappushpop

from gritmill.stages.filters.language import MIN_BYTES, guess

MOST = 2_000
"""Captions that are looked at."""


class SomeCaptions:
    """Keeps `MOST` of all captions: those whose keys have the largest digests, whatever their order."""

    def __init__(self) -> None:
        self._kept: list[tuple[bytes, str]] = []

    def add(self, key: str, caption: str) -> None:
        if len(caption.encode()) < MIN_BYTES:
            return
        entry = hashlib.blake2b(key.encode(), digest_size=8).digest(), caption
        if len(self._kept) < MOST:
            heappush(self._kept, entry)
        else:
            heappushpop(self._kept, entry)

    def languages(self) -> Counter[str]:
        """{ISO 639-1 code: captions}; empty where py3langid is not installed."""
        if importlib.util.find_spec("py3langid") is None:
            return Counter()
        guesses = (guess(caption) for _, caption in self._kept)
        return Counter(found.language for found in guesses if found)

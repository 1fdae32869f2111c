"""Drops captions with swear words and slurs, by a word list."""

import functools
import hashlib
import re
from pathlib import Path

from pydantic import Field

from gritmill import prompts
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError
from gritmill.stages.filters.base import AtMost, Filter

LIST = "profanity"
MAX_LIST_BYTES = 10**7

WORD = re.compile(r"\w+")


class Profanity(Filter):
    """Caption -> how many of its words are on the list.

    "a fucking dog" -> Reject("profanity", 1, 0)
    "an ass and a cock in a farm yard" -> 0: words that also name an animal are not on ours
    """

    reads = ("caption",)
    writes = {"profane_words": int}
    bounds = (AtMost("profane_words", "max_profane_words", "profanity"),)

    batch_size: int = Field(default=4096, ge=1)
    max_profane_words: int | None = Field(default=0, ge=0)
    """Most words of the list that a caption may have; null for any number."""
    words: str | None = None
    """Text file with a list of your own, one word a line; null for prompts/profanity.txt, in English."""

    def problems(self) -> list[str]:
        try:
            self._listed()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        try:
            lines = "\n".join(sorted(self._listed()))
        except UserError:  # `problems` says so
            return {}
        return {"words": hashlib.sha256(lines.encode()).hexdigest()[:16]}

    def measure(self, batch: Columns) -> Columns:
        listed = self._listed()
        return {
            "profane_words": [
                sum(word in listed for word in WORD.findall((caption or "").casefold()))
                for caption in batch["caption"]
            ]
        }

    def _listed(self) -> frozenset[str]:
        return _own_list(self.words) if self.words else frozenset(map(str.casefold, prompts.word_list(LIST)))


@functools.cache
def _own_list(name: str) -> frozenset[str]:
    try:
        path = Path(name).expanduser()
        if path.stat().st_size > MAX_LIST_BYTES:
            raise UserError(f"words {name!r} is too large for a list of words; give one word a line")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"words {name!r} cannot be read: {error}; give a text file") from error
    words = frozenset(line.strip().casefold() for line in lines if line.strip() and not line.startswith("#"))
    if odd := sorted(word for word in words if not WORD.fullmatch(word)):
        raise UserError(f"words {name!r} has {odd[0]!r}, which is no single word; give one word a line")
    if not words:
        raise UserError(f"words {name!r} is empty; give one word a line")
    return words

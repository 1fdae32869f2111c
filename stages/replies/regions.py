"""Boxes that a language model writes into its reply, and those of the context that they are."""

import re
from collections.abc import Iterator, Sequence

from gritmill.schemas.boxes import Box
from gritmill.schemas.replies import ToldRegion

TOLERANCE = 0.005
"""How far each coordinate may be off: a box written with two decimals is still known."""

_DECIMAL = r"[0-9]{0,4}\.[0-9]{1,9}"
_NUMBER = rf"(?:{_DECIMAL}|[0-9]{{1,4}})"
_GAP = r"\s{0,4},\s{0,4}"
_MENTION = re.compile(
    # Round brackets hold other lists, too: those are boxes only if all is decimal fractions.
    rf"\[\s{{0,4}}({_NUMBER}(?:{_GAP}{_NUMBER}){{3}})\s{{0,4}}\]"
    rf"|\(\s{{0,4}}({_DECIMAL}(?:{_GAP}{_DECIMAL}){{3}})\s{{0,4}}\)"
)


class UnknownBox(ValueError):
    """A box that is not in the context; `str` of it is the box as it was written."""


def split(text: str, known: Sequence[ToldRegion]) -> Iterator[str | Box]:
    """Text, box, text, box, ..., text: each mention of a box as the box of the context that it is.

    Raises `UnknownBox` at one that is none.

    >>> list(split("The dog [0.10, 0.20, 0.50, 0.90] runs.", [Region("dog", Box(0.1, 0.2, 0.5, 0.9))]))
    ['The dog ', Box(x1=0.1, y1=0.2, x2=0.5, y2=0.9), ' runs.']
    """
    end = 0
    for found in _MENTION.finditer(text):
        box = _nearest(found[1] or found[2], known)
        if box is None:
            raise UnknownBox(found[0])
        yield text[end : found.start()]
        yield box
        end = found.end()
    yield text[end:]


def mentions(text: str) -> list[str]:
    """All boxes in a text as they are written."""
    return [found[0] for found in _MENTION.finditer(text)]


def _nearest(written: str, known: Sequence[ToldRegion]) -> Box | None:
    numbers = [float(number) for number in written.split(",")]

    def distance(box: Box) -> float:
        return max(abs(a - b) for a, b in zip(numbers, box, strict=True))

    nearest = min((region.box for region in known), key=distance, default=None)
    return nearest if nearest and distance(nearest) <= TOLERANCE + 1e-9 else None

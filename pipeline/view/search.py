"""Which samples are wanted, and a page of them."""

import time
from typing import Any, NamedTuple

from gritmill.pipeline.gallery import BoxView, GalleryEntry, PhraseView
from gritmill.pipeline.view.listing import GrowingList, Label

SECONDS = 0.06
"""How long one request looks; a filter that lets little through goes on with the next request."""


class Wanted(NamedTuple):
    """A filter; what is empty or None lets everything through.

    `text` is looked for in the key, the caption, phrases and what is said, in upper or lower case. With
    a score, it is a phrase which must have a box of such a score.
    """

    text: str = ""
    low: float | None = None
    high: float | None = None
    stage: str = ""
    reason: str = ""
    change: str = ""

    def lets(self, label: Label) -> bool:
        """Judges by what is known before a sample is read."""
        return (
            self.stage in ("", label.stage)
            and self.reason in ("", label.reason)
            and self.change in ("", label.change)
        )

    @property
    def reads(self) -> bool:
        """Whether samples must be read to judge them."""
        return bool(self.text) or self.low is not None or self.high is not None

    def matches(self, entry: GalleryEntry) -> bool:
        text = self.text.casefold()
        boxes = [(phrase, box) for phrase in entry["phrases"] for box in phrase["boxes"]]
        if self.low is None and self.high is None:
            texts = [entry["key"], entry["caption"], *(turn["text"] for turn in entry["turns"])]
            return any(text in t.casefold() for t in (*texts, *(box["phrase"] for _, box in boxes)))
        return any(
            self._in_range(box["score"]) and (not text or text in _words(entry, phrase, box))
            for phrase, box in boxes
        )

    def _in_range(self, score: float | None) -> bool:
        if score is None:
            return False
        return (self.low is None or score >= self.low) and (self.high is None or score <= self.high)


def _words(entry: GalleryEntry, phrase: PhraseView, box: BoxView) -> str:
    return f"{entry['caption'][phrase['start'] : phrase['end']]}\n{box['phrase']}".casefold()


class Page(NamedTuple):
    """Rows of a listing that a filter let through, and where to look on."""

    rows: list[int]
    next: int | None
    """The first row after those that were looked at; None at the end."""
    previous: int | None
    """The last row before them; None at the beginning."""


def find_page(
    listing: GrowingList[Any], wanted: Wanted, start: int, count: int, backwards: bool = False
) -> Page:
    """At most `count` rows from `start` on (or before it, if `backwards`), in the order of the listing.

    Fewer where the end is reached or the time is over; then `next` (or `previous`) says where to go on.
    """
    until = time.monotonic() + SECONDS
    found: list[int] = []
    step = -1 if backwards else 1
    at = start
    while at >= 0 and len(found) < count:
        if at >= len(listing.rows):
            if backwards:
                at = len(listing.rows) - 1
                continue
            listing.grow(max(until - time.monotonic(), 0), rows=at + count)
            if at >= len(listing.rows):
                break
        if wanted.lets(listing.label(at)) and (not wanted.reads or _reads_well(listing, wanted, at)):
            found.append(at)
        at += step
        if time.monotonic() >= until:
            break
    if backwards:
        following = start + 1 if start + 1 < len(listing.rows) or not listing.is_complete else None
        return Page(found[::-1], following, at if at >= 0 else None)
    listing.grow(0, rows=at + 1)  # a last page should know that it is the last
    is_end = listing.is_complete and at >= len(listing.rows)
    return Page(found, None if is_end else at, start - 1 if start > 0 else None)


def _reads_well(listing: GrowingList[Any], wanted: Wanted, number: int) -> bool:
    return any(wanted.matches(entry) for entry in listing.entries(number) if entry)

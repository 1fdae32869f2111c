"""Two datasets side by side, joined by key: what is only in one of them, what has other boxes.

Both must be read once before it can be said what only one of them has; until then there are no rows.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from gritmill.pipeline.gallery import GalleryEntry
from gritmill.pipeline.view.listing import GrowingList, Label, SampleListing
from gritmill.pipeline.view.side import Side

LEFT, RIGHT, CHANGED, SAME = "left", "right", "changed", "same"
CHANGES = {
    CHANGED: "other boxes, words or turns",
    LEFT: "only left",
    RIGHT: "only right",
    SAME: "the same",
}
"""What can have become of a sample, in the order in which one wants to know."""

_STEP = 0.02


class Pair(NamedTuple):
    """Row numbers of a sample in both datasets; where one has dropped it, its row there."""

    change: str
    left: int | None
    right: int | None
    left_dropped: int | None = None
    right_dropped: int | None = None


class _Facts(NamedTuple):
    key: str
    image: str
    digest: bytes


class Pairs(GrowingList[Pair]):
    """Samples in the left one's order, then those that only the right one has.

    Where the datasets have not one key in common, samples of an image are paired in their order.
    """

    def __init__(self, left: Side, right: Side) -> None:
        super().__init__()
        self.sides = (left, right)

    def find(self) -> Iterator[Pair | None]:
        left, right = self.sides
        for listing in (left.kept, right.kept, left.dropped, right.dropped):
            while listing is not None and not listing.is_complete:
                listing.grow(_STEP)
                yield None
        facts: list[list[_Facts]] = [[], []]
        for side, found in zip(self.sides, facts):
            for number in range(len(side.kept.rows)):
                found.append(_facts(side.kept.entry(number)))
                yield None
        dropped: list[dict[str, int]] = [{}, {}]
        for side, numbers in zip(self.sides, dropped):
            for number in range(len(side.dropped.rows) if side.dropped else 0):
                assert side.dropped is not None
                numbers.setdefault(side.dropped.entry(number)["key"], number)
                yield None
        yield from _join(facts[0], facts[1], dropped[0], dropped[1])

    def label(self, number: int) -> Label:
        pair = self.rows[number]
        for side, row in zip(self.sides, (pair.left_dropped, pair.right_dropped)):
            if side.dropped is not None and row is not None:
                return side.dropped.label(row)._replace(change=pair.change)
        return Label(change=pair.change)

    def entries(self, number: int) -> list[GalleryEntry | None]:
        return [listing.entry(row) if listing else None for listing, row in self.places(number)]

    def places(self, number: int) -> list[tuple[SampleListing[Any] | None, int]]:
        """For each side the listing and the row there that a pair shows, no listing for nothing."""
        pair = self.rows[number]
        found: list[tuple[SampleListing[Any] | None, int]] = []
        for side, kept, dropped in zip(self.sides, (pair.left, pair.right), pair[3:]):
            if kept is not None:
                found.append((side.kept, kept))
            else:
                found.append((None, 0) if dropped is None else (side.dropped, dropped))
        return found


def _join(
    left: list[_Facts], right: list[_Facts], left_dropped: dict[str, int], right_dropped: dict[str, int]
) -> Iterator[Pair]:
    names = [[f.key for f in facts] for facts in (left, right)]
    if not set(names[0]) & set(names[1]):
        names = [_numbered(facts) for facts in (left, right)]
    at = {name: number for number, name in reversed(list(enumerate(names[1])))}
    used = set()
    for number, name in enumerate(names[0]):
        other = at.get(name)
        if other is None or other in used:
            yield Pair(LEFT, number, None, right_dropped=right_dropped.get(left[number].key))
        else:
            used.add(other)
            is_same = left[number].digest == right[other].digest
            yield Pair(SAME if is_same else CHANGED, number, other)
    for other, facts in enumerate(right):
        if other not in used:
            yield Pair(RIGHT, None, other, left_dropped=left_dropped.get(facts.key))


def _numbered(facts: list[_Facts]) -> list[str]:
    """`image:0`, `image:1`, ... for the samples of each image."""
    counts: dict[str, int] = {}
    names = []
    for fact in facts:
        number = counts.get(fact.image, 0)
        counts[fact.image] = number + 1
        names.append(f"{fact.image}:{number}")
    return names


def _facts(entry: GalleryEntry) -> _Facts:
    """Scores are left out: another model's are other numbers for the same boxes."""
    boxes = [
        [phrase["start"], phrase["end"], sorted(box["box"] for box in phrase["boxes"])]
        for phrase in entry["phrases"]
    ]
    shown = json.dumps([entry["caption"], boxes, entry["turns"]])
    digest = hashlib.blake2b(shown.encode(), digest_size=16).digest()
    return _Facts(entry["key"], str(entry["provenance"].get("image_id", entry["key"])), digest)

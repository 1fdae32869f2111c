"""A perceptual hash: 128 bits that stay nearly the same when an image is scaled, recompressed,
brightened or cropped a little, and pairs of such hashes that differ in few bits.

After Facebook's PDQ (a grid of 64 by 64 grey pixels, its cosine transform, a bit for each coefficient),
with two changes. The bits are the signs of the 128 lowest frequencies and not of a square of 256, which
moves less under a crop; and a coefficient is held against zero and not against the median, so that the
hash of the mirrored image follows from the hash itself. Measured in `tests/bench/planted_duplicates.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gritmill.schemas.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
"""One hash a row, as two words of 64 bits."""
Numbers = np.ndarray[Any, np.dtype[np.int64]]

BITS = 128
RADIUS = 15
"""Bits in which two hashes of one image may differ. Of 80 photographs and 100 drawn scenes no two
different ones came nearer than 25; cropping 2 % moved half of the hashes by 6 bits or fewer."""
MAX_RADIUS = 23

_SIDE = 64
_FREQUENCIES = 17
# Sums over 4,096 pixels. Noise of half a grey level stays below; what does is as good as zero, and must
# not turn into a bit by the rounding of one processor or another.
_SILENT = 48.0
_MOST_SILENT = BITS // 2

_CROWD = 32  # members that make it worth while to look where a group begins and ends
_NEXT = 8

_CHUNK = 16
_CHUNKS = BITS // _CHUNK
_BLOCK = 1 << 20


def perceptual_hash(data: bytes) -> bytes | None:
    """An encoded image -> the 16 bytes of its hash; None if it shows too little to be told from others.

    Plain colours, soft gradients and the like have no hash. Raises what `schemas.images.decode` raises.
    """
    return hash_of_picture(decode(data))


def hash_of_picture(picture: "PILImage") -> bytes | None:
    """The same of a decoded image, as a viewer sees it."""
    from PIL.Image import Resampling

    grey = np.asarray(picture.convert("L").resize((_SIDE, _SIDE), Resampling.BILINEAR), np.float64)
    cosines, kept, _ = _transform()
    found = (cosines @ grey @ cosines.T).ravel()[kept]
    if np.count_nonzero(np.abs(found) <= _SILENT) > _MOST_SILENT:
        return None
    return np.packbits(found > _SILENT).tobytes()


def as_hashes(found: Sequence[bytes]) -> Hashes:
    """The 16 bytes of each hash -> an array of shape (n, 2)."""
    return np.frombuffer(b"".join(found), np.uint64).reshape(-1, 2)


def mirrored(hashes: Hashes) -> Hashes:
    """The hashes of the same images, mirrored left to right."""
    return hashes ^ _transform()[2]


def distance(a: Hashes, b: Hashes) -> Numbers:
    """Bits in which hashes differ, row by row."""
    return np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)


def near_pairs(
    queries: Hashes, hashes: Hashes, radius: int = RADIUS, groups: Callable[[], Numbers] | None = None
) -> Iterator[tuple[Numbers, Numbers]]:
    """Row numbers (i, j) with `queries[i]` within `radius` bits of `hashes[j]`, in blocks, each once.

    Multi-index hashing (Norouzi et al., 2012): of 8 chunks of 16 bits, one must differ in an eighth of
    the radius at most, so only hashes which agree in a chunk, but for so many bits, are compared. Holds
    some 60 bytes a hash, and a block of pairs. Where queries and hashes are the same rows, `groups` may give
    each row's group: of large ones, such as ten thousand covers of one series, no two members are compared.
    Raises `ValueError` above `MAX_RADIUS`.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"a radius of {radius} is not between 0 and {MAX_RADIUS}")
    flips = _flips(radius // _CHUNKS)
    # Half of a hash is enough to tell nearly all that are not near, and lies closer together.
    half_queries, half_hashes = np.ascontiguousarray(queries[:, 0]), np.ascontiguousarray(hashes[:, 0])
    for chunk in range(_CHUNKS):
        buckets = _Buckets(_chunk(hashes, chunk), groups() if groups else None)
        asked = _chunk(queries, chunk)
        for flip in flips:
            rows, starts, ends = buckets.ranges(asked ^ flip)
            for i, j in _expanded(starts, ends):
                i, j = rows[i], buckets.order[j]
                near = np.bitwise_count(half_queries[i] ^ half_hashes[j]) <= radius
                i, j = i[near], j[near]
                differ = queries[i] ^ hashes[j]
                near = np.bitwise_count(differ).sum(axis=1) <= radius
                i, j, differ = i[near], j[near], differ[near]
                first = _first_chunk(differ, radius // _CHUNKS) == chunk
                yield i[first], j[first]


def neighbours(hashes: Hashes, radius: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Some of the pairs of `near_pairs`, in little time: of hashes that are neighbours when sorted."""
    for chunk in range(_CHUNKS):
        order = np.lexsort((hashes[:, chunk * 2 // _CHUNKS], _chunk(hashes, chunk)))
        for step in range(1, _NEXT + 1):
            i, j = order[:-step], order[step:]
            near = distance(hashes[i], hashes[j]) <= radius
            yield i[near], j[near]


class _Buckets:
    """Hashes by the value of a chunk, and those of a group together."""

    def __init__(self, keys: Numbers, groups: Numbers | None) -> None:
        is_crowd = np.zeros(0, bool) if groups is None else np.bincount(groups)[groups] >= _CROWD
        self._groups = groups if is_crowd.any() else None
        by = (keys,) if self._groups is None else (self._groups, keys)
        self.order = np.lexsort(by)
        self._starts = np.searchsorted(keys[self.order], np.arange(2**_CHUNK + 1))
        if self._groups is not None:
            self._crowd, self._others = np.flatnonzero(is_crowd), np.flatnonzero(~is_crowd)
            self._places = self._place(keys, self._groups)[self.order]

    def ranges(self, wanted: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """(row, start, end) in `order` of what each row is compared with, by the key that it wants."""
        starts, ends = self._starts[wanted], self._starts[wanted + 1]
        if self._groups is None:
            return np.arange(len(wanted)), starts, ends
        others, crowd = self._others, self._crowd
        own = self._place(wanted[crowd], self._groups[crowd])
        first, last = np.searchsorted(self._places, own), np.searchsorted(self._places, own, "right")
        # Those of a crowd with what lies before their own group, and with what lies after it.
        return (
            np.concatenate([others, crowd, crowd]),
            np.concatenate([starts[others], starts[crowd], last]),
            np.concatenate([ends[others], first, ends[crowd]]),
        )

    @staticmethod
    def _place(keys: Numbers, groups: Numbers) -> Numbers:
        return keys << 40 | groups


def _expanded(starts: Numbers, ends: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Ranges -> (number of the range, number in it) for all their members, a block at a time."""
    counts = ends - starts
    totals = np.cumsum(counts)
    done = 0
    while done < len(counts):
        before = totals[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(totals, before + _BLOCK, "right")))
        some = counts[done:stop]
        rows = np.repeat(np.arange(done, stop), some)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(some) - some, some)
        yield rows, starts[rows] + offsets
        done = stop


def _first_chunk(differ: Hashes, most: int) -> Numbers:
    """The first chunk in which at most so many bits differ: the one that reports a pair."""
    return np.argmax(np.bitwise_count(differ.view(np.uint16)) <= most, axis=1)


def _chunk(hashes: Hashes, chunk: int) -> Numbers:
    return np.ascontiguousarray(hashes).view(np.uint16)[:, chunk].astype(np.intp)


@cache
def _flips(most: int) -> list[int]:
    """Every pattern of at most so many of 16 bits."""
    return [pattern for pattern in range(2**_CHUNK) if pattern.bit_count() <= most]


@cache
def _transform() -> tuple[np.ndarray[Any, Any], Numbers, Hashes]:
    """The cosines, which coefficients make the hash, and the bits that mirroring turns over."""
    pixels = 2 * np.arange(_SIDE) + 1
    cosines = np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(_FREQUENCIES), pixels))
    down, across = np.indices((_FREQUENCIES, _FREQUENCIES))
    order = np.argsort((down**2 + across**2).ravel(), kind="stable")
    kept = order[1 : BITS + 1]  # the first is the mean brightness
    odd = (across.ravel()[kept] % 2).astype(bool)
    return cosines, kept, np.frombuffer(np.packbits(odd).tobytes(), np.uint64)

"""MinHash: 128 bytes for a text, of which two share as large a part as the texts share of their n-grams.

Li and König, "b-Bit Minwise Hashing" (2010): a byte of each of 128 minima instead of all of it, for a
quarter of the room and next to no loss. Candidates come from locality-sensitive hashing in bands.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gritmill.stages.dedup.components import Components

Signatures = np.ndarray[Any, np.dtype[np.uint8]]
Words = np.ndarray[Any, np.dtype[np.uint32]]

SIZE = 128
"""Minima of a signature: its estimate of the Jaccard similarity has a standard deviation of 0.035 at 0.8."""
MOST_NEIGHBOURS = 100
"""In a bucket each text is held against the next so many. Larger buckets are templates, which hang
together through those; trying all of their pairs would take forever."""

_RECALL = 0.98
_LONGEST_BAND = 8
_BLOCK = 1 << 19
_SEED = 20240607


def signatures(texts: Sequence[str], size: int) -> list[bytes]:
    """Texts -> their signatures, by the n-grams of `size` characters."""
    made: list[bytes] = []
    while len(made) < len(texts):
        some, characters = [], 0
        for text in texts[len(made) :]:
            some.append(text.ljust(size))
            characters += len(some[-1])
            if characters > _BLOCK:
                break
        made += _signatures(some, size)
    return made


def jaccard(a: Signatures, b: Signatures) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Row by row, the estimated Jaccard similarity; chance makes one of 256 bytes equal."""
    equal = (a == b).mean(axis=-1)
    return np.maximum(0, (equal - 1 / 256) / (1 - 1 / 256))


def join_near(found: Signatures, threshold: float, components: Components) -> None:
    """Joins the row numbers of signatures with an estimated Jaccard similarity of at least the threshold.

    Of the pairs at the threshold itself, one of 50 is missed. Holds some 40 bytes a signature.
    """
    length = band_length(threshold)
    for start in range(0, SIZE - length + 1, length):
        keys = np.zeros((len(found), 8), np.uint8)
        keys[:, :length] = found[:, start : start + length]
        words = keys.view(np.uint64).ravel()
        order = np.argsort(words, kind="stable")
        words = words[order]
        here = np.arange(len(words))
        for step in range(1, MOST_NEIGHBOURS + 1):
            here = here[here < len(words) - step]
            here = here[words[here] == words[here + step]]
            if not len(here):
                break
            for block in np.array_split(here, len(here) // _BLOCK + 1):
                a, b = order[block], order[block + step]
                apart = components.roots(a) != components.roots(b)
                a, b = a[apart], b[apart]
                near = jaccard(found[a], found[b]) >= threshold
                components.join(a[near], b[near])


def band_length(threshold: float) -> int:
    """Bytes of a band: as many as still find 98 of 100 pairs at the threshold.

    >>> [band_length(t) for t in (0.5, 0.7, 0.8, 0.9)]
    [3, 5, 7, 8]
    """
    lengths = range(_LONGEST_BAND, 0, -1)
    recalls = ((n, 1 - (1 - threshold**n) ** (SIZE // n)) for n in lengths)
    return next((n for n, recall in recalls if recall >= _RECALL), 1)


def _signatures(texts: Sequence[str], size: int) -> list[bytes]:
    letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in texts])
    grams = _grams(letters, size)
    # The n-grams that begin in one text and end in the next are cut out.
    ends = np.cumsum(lengths)
    inside = np.ones(len(letters), bool)
    for k in range(1, size):
        inside[ends - k] = False
    grams = grams[inside[: len(grams)]]
    counts = lengths - (size - 1)
    starts = np.cumsum(counts) - counts
    factors, offsets = _permutations()
    made = np.empty((len(texts), SIZE), np.uint8)
    values = np.empty_like(grams)
    for i in range(SIZE):
        np.multiply(grams, factors[i], out=values)
        values += offsets[i]
        made[:, i] = (np.minimum.reduceat(values, starts) * np.uint32(0x9E3779B1)) >> np.uint32(24)
    return [row.tobytes() for row in made]


def _grams(letters: Words, size: int) -> Words:
    """32 bits for each run of `size` characters, mixed as MurmurHash3 ends."""
    mixed = np.zeros(len(letters) - size + 1, np.uint64)
    for k in range(size):
        mixed *= np.uint64(0x100000001B3)
        mixed += letters[k : len(letters) - size + 1 + k]
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(factor)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _permutations() -> tuple[Words, Words]:
    rng = np.random.Generator(np.random.PCG64(_SEED))
    factors, offsets = rng.integers(0, 2**32, (2, SIZE), np.uint32)
    return factors | np.uint32(1), offsets

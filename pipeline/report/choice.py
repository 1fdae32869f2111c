"""Which samples are shown: drawn by lot, and the same ones every time."""

import hashlib
import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    """How many samples a report shows, and which."""

    kept: int = 200
    dropped: int = 20
    """For each reason of each stage."""
    seed: int = 0


class Lottery(Generic[T]):
    """Keeps some of many, those whose key and seed have the smallest digests, in the order of these.

    What is kept does not depend on the order in which they come, unless a key comes twice.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._added = size, seed, 0
        self._heap: list[tuple[int, int, T]] = []

    def add(self, key: str, item: T) -> None:
        text = f"{self._seed}:{key}".encode("utf-8", "backslashreplace")
        digest = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
        self._added += 1
        ticket = (-digest, -self._added, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, ticket)
        elif self._heap and ticket > self._heap[0]:
            heapq.heapreplace(self._heap, ticket)

    def winners(self) -> list[T]:
        return [item for _, _, item in sorted(self._heap, reverse=True)]

"""Connected components of a graph whose edges come in blocks: union-find over an array."""

from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class Components:
    """Which of `count` things hang together; 8 bytes each.

    A component goes by its lowest number, in whatever order its edges come.
    """

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)

    def join(self, a: Numbers, b: Numbers) -> None:
        """Takes in the edges `a[i]` to `b[i]`."""
        while True:
            a, b = self.roots(a), self.roots(b)
            apart = a != b
            if not apart.any():
                return
            a, b = a[apart], b[apart]
            np.minimum.at(self._parents, np.maximum(a, b), np.minimum(a, b))

    def roots(self, items: Numbers) -> Numbers:
        """The component of each of these."""
        found = items
        while True:
            above = self._parents[found]
            if np.array_equal(above, found):
                self._parents[items] = found
                return found
            self._parents[found] = self._parents[above]  # halves the way for whoever comes next
            found = self._parents[found]

    def all(self) -> Numbers:
        """The component of everything, in order."""
        return self.roots(np.arange(len(self._parents)))

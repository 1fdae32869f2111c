"""A box as the numbers a model writes: one for each coordinate, or one for each corner."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gritmill.schemas.boxes import Box
from gritmill.schemas.dialects.geometry import View


class Numbers(Protocol):
    """How a box in 0..1 of the model's picture is rounded, and read again."""

    @property
    def per_box(self) -> int:
        """How many numbers make a box."""
        ...

    def write(self, box: Box, view: View) -> list[str]:
        """A box with some area -> its numbers, as text."""
        ...

    def read(self, numbers: Sequence[float], view: View) -> Box | None:
        """Numbers of a model, of any size -> the box (not clipped, perhaps inverted). None: no such cell."""
        ...

    def all(self) -> list[str]:
        """Every number there is, as text, for a vocabulary."""
        ...


@dataclass(frozen=True)
class Coordinates:
    """Four numbers: x1, y1, x2, y2, each a multiple of 1/`steps`.

    Ferret, `Coordinates(1000, last=999, floor=True)`: 0.4456 -> "445" -> 0.445
    """

    steps: int | None
    """What 1.0 would become; None: the pixels of the picture."""
    last: int | None = None
    """The largest number written.  [default: `steps`, or the last pixel]"""
    floor: bool = False
    """Round down; otherwise to the nearest, halves to even as Python's and NumPy's `round` do."""
    middle: bool = False
    """Read a number as the middle of its bin instead of its lower edge."""
    decimals: int = 0
    """Write as a fraction with so many digits: 446 of 1000 as "0.446"."""
    y_first: bool = False
    """The order is y1, x1, y2, x2."""
    width: int = 0
    """Fill up with zeros to so many digits."""

    @property
    def per_box(self) -> int:
        return 4

    def write(self, box: Box, view: View) -> list[str]:
        x1, y1, x2, y2 = (
            self._write(v, self.steps or pixels) for v, pixels in zip(box, _pixels(view), strict=True)
        )
        return [y1, x1, y2, x2] if self.y_first else [x1, y1, x2, y2]

    def read(self, numbers: Sequence[float], view: View) -> Box | None:
        x1, y1, x2, y2 = numbers
        if self.y_first:
            x1, y1, x2, y2 = y1, x1, y2, x2
        values = zip((x1, y1, x2, y2), _pixels(view), strict=True)
        return Box(*(self._read(v, self.steps or pixels) for v, pixels in values))

    def all(self) -> list[str]:
        if self.steps is None:
            return []
        return [self._text(i, self.steps) for i in range(self._last(self.steps) + 1)]

    def __str__(self) -> str:
        top = self._text(self._last(self.steps), self.steps) if self.steps else "last pixel"
        rounding = "down" if self.floor else "nearest"
        return (
            f"0..{top}{', y first' if self.y_first else ''}, {rounding}{', middles' if self.middle else ''}"
        )

    def _last(self, steps: int) -> int:
        if self.last is not None:
            return self.last
        return steps if self.steps else steps - 1

    def _write(self, value: float, steps: int) -> str:
        number = math.floor(value * steps) if self.floor else round(value * steps)
        return self._text(min(number, self._last(steps)), steps)

    def _text(self, number: int, steps: int) -> str:
        return f"{number / steps:.{self.decimals}f}" if self.decimals else f"{number:0{self.width}d}"

    def _read(self, number: float, steps: int) -> float:
        if self.decimals:
            return number
        return (number + 0.5) / steps if self.middle else number / steps


@dataclass(frozen=True)
class Cells:
    """Two numbers: the cells of a `side` x `side` grid that hold the top left and bottom right corners.

    Cells are counted row by row: (0.39, 0.05, 0.98, 0.83) on 32 x 32 -> "44", "863" -> cell centres,
    (0.390625, 0.046875, 0.984375, 0.828125). Where both corners lie in one row or one column, centres
    would leave no area, and the box is read from cell edges instead. A corner exactly on a line belongs
    to the cell inside the box, as in `transformers`, so that writing what was read gives the same
    numbers; the first release rounds x2 and y2 down.
    Source: `decode_string.py` of microsoft/unilm kosmos-2, `processing_kosmos2.py` of transformers.
    """

    side: int
    width: int = 0
    """Fill up with zeros to so many digits."""

    @property
    def per_box(self) -> int:
        return 2

    def write(self, box: Box, view: View) -> list[str]:
        x1, y1, x2, y2 = (v * self.side for v in box)
        first = math.floor(y1) * self.side + math.floor(x1)
        last = max(math.ceil(y2 - 1), 0) * self.side + max(math.ceil(x2 - 1), 0)
        return [self._text(first), self._text(last)]

    def read(self, numbers: Sequence[float], view: View) -> Box | None:
        if not all(0 <= n < self.side**2 for n in numbers):
            return None
        (y1, x1), (y2, x2) = (divmod(int(n), self.side) for n in numbers)
        if x1 == x2 or y1 == y2:
            return Box(x1, y1, x2 + 1, y2 + 1).scaled(1 / self.side, 1 / self.side)
        return Box(x1 + 0.5, y1 + 0.5, x2 + 0.5, y2 + 0.5).scaled(1 / self.side, 1 / self.side)

    def all(self) -> list[str]:
        return [self._text(i) for i in range(self.side**2)]

    def __str__(self) -> str:
        return f"{self.side}x{self.side} cells, middles"

    def _text(self, number: int) -> str:
        return f"{number:0{self.width}d}"


def _pixels(view: View) -> tuple[int, int, int, int]:
    return view.width, view.height, view.width, view.height

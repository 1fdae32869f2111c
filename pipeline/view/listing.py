"""Samples in order, found from the start on and as far as somebody wants to look."""

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from gritmill.pipeline.gallery import GalleryEntry

Row = TypeVar("Row")


class Label(NamedTuple):
    """What is known of a sample before it is read.

    >>> Label(stage="select_boxes", reason="no_box")   # dropped
    >>> Label(change="left")                           # only in the left one of two datasets
    """

    stage: str = ""
    reason: str = ""
    change: str = ""


class GrowingList(ABC, Generic[Row]):
    """A list that grows: opening a dataset of a thousand tars reads none but those that are looked at.

    `rows` only ever grows at its end, so that a row's number stays its name. Several threads may ask.
    """

    is_near = True
    """Whether looking on costs so little that it is done without being asked for."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.counts: Counter[Label] = Counter()
        """How many of the rows found so far have each label."""
        self.is_complete = False
        self._lock = threading.Lock()
        self._found = self.find()

    @abstractmethod
    def find(self) -> Iterator[Row | None]:
        """All rows in order, each a small step of work; None for a step that found nothing yet."""

    @abstractmethod
    def label(self, number: int) -> Label:
        """What row `number` can be chosen by without being read."""

    @abstractmethod
    def entries(self, number: int) -> list[GalleryEntry | None]:
        """What row `number` shows, side by side; None for a side that has no such sample."""

    def grow(self, seconds: float, rows: int | None = None) -> None:
        """Looks on until there are so many rows, the end is reached or the time is over."""
        until = time.monotonic() + seconds
        with self._lock:
            while not self.is_complete and (rows is None or len(self.rows) < rows):
                try:
                    row = next(self._found)
                except StopIteration:
                    self.is_complete = True
                else:
                    if row is not None:
                        self.rows.append(row)
                        self.counts[self.label(len(self.rows) - 1)] += 1
                if time.monotonic() >= until:
                    return


class SampleListing(GrowingList[Row]):
    """A listing of single samples, with their images."""

    @property
    def notes(self) -> list[str]:
        """What is wrong with the data as a whole, in words."""
        return []

    @abstractmethod
    def entry(self, number: int) -> GalleryEntry:
        """A sample without its image; one that cannot be read says why."""

    @abstractmethod
    def size(self, number: int) -> tuple[int, int]:
        """(width, height) of its image as a viewer sees it. Raises `OSError` if there is none."""

    @abstractmethod
    def image(self, number: int) -> bytes:
        """The encoded image. Raises `OSError` if there is none."""

    def label(self, number: int) -> Label:
        return Label()

    def entries(self, number: int) -> list[GalleryEntry | None]:
        return [self.entry(number)]


def unreadable(key: str, reason: str, value: str) -> GalleryEntry:
    """Stands for a sample whose record cannot be shown."""
    return {
        "key": key,
        "image": None,
        "caption": "",
        "phrases": [],
        "turns": [],
        "stage": "view",
        "reason": reason,
        "value": value[:500] or None,
        "threshold": None,
        "provenance": {},
    }

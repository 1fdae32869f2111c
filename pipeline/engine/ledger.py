"""The receipts of a step, without opening every result again at every start.

A receipt lies in its result's own file; that is the truth. The driver also gathers the receipts that
it sees into `receipts-NNNNNN.jsonl` segments in the same folder, so that a restart reads a few files
instead of one for each part. Receipts that no segment holds (the driver was killed) are read from the
results. Segments may be deleted at any time; of two receipts for a part the later one counts.
"""

import time
from collections.abc import Iterator, Sequence

from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.results import SUFFIX, read_receipt
from gritmill.pipeline.storage.store import Store

_SEGMENT = ".jsonl"
_FLUSH_SECONDS = 15.0
_FLUSH_COUNT = 2000


class Ledger:
    """Receipts of the results in one folder."""

    def __init__(self, store: Store, folder: str, names: Sequence[str]) -> None:
        """`names` are those of the files in the folder."""
        self.store = store
        self.folder = folder
        self._segments = [name for name in names if name.endswith(_SEGMENT)]
        self._next = max((_number(name) for name in self._segments), default=-1) + 1
        self._new: list[Receipt] = []
        self._last_flush = time.monotonic()

    def receipts(self, parts: Sequence[str]) -> Iterator[Receipt]:
        """The receipts of these parts, which must all have their results."""
        wanted = set(parts)
        for name in reversed(self._segments):
            for line in reversed(self.store.read(f"{self.folder}/{name}").splitlines()):
                receipt = _parsed(line)
                if receipt and receipt.part in wanted:
                    wanted.discard(receipt.part)
                    yield receipt
        missing = (f"{self.folder}/{part}{SUFFIX}" for part in sorted(wanted))
        for receipt in self.store.each(lambda name: read_receipt(self.store, name), missing):
            self._new.append(receipt)
            yield receipt

    def add(self, receipt: Receipt) -> None:
        self._new.append(receipt)
        if len(self._new) >= _FLUSH_COUNT or time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what was added since the last time as a segment."""
        if self._new:
            text = "".join(receipt.to_json() + "\n" for receipt in self._new)
            self.store.write(f"{self.folder}/receipts-{self._next:06d}{_SEGMENT}", text.encode())
            self._next += 1
            self._new = []
        self._last_flush = time.monotonic()


def _number(segment: str) -> int:
    """`receipts-000012.jsonl` -> 12; -1 for a file that only looks like a segment."""
    digits = segment.removeprefix("receipts-").removesuffix(_SEGMENT)
    return int(digits) if digits.isdecimal() else -1


def _parsed(line: bytes) -> Receipt | None:
    """None for a torn line or one that is no receipt; the result itself still has it."""
    try:
        return Receipt.from_json(line)
    except (ValueError, TypeError, AttributeError, AssertionError):
        return None

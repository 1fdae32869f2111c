"""The receipts of a step, without opening every result again at every start.

A receipt lies in its result's own file; that is the truth. The driver also gathers the receipts that
it sees into `receipts-NNNNNN.jsonl` segments in the same folder, so that a restart reads a few files
instead of one for each part. Receipts that no segment holds (the driver was killed) are read from the
results. Segments may be deleted at any time; of two receipts for a part the later one counts.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.receipts import Receipt
from pipeline.results import SUFFIX, read_receipt
from pipeline.store import Store

_FLUSH_SECONDS = 15.0
_FLUSH_COUNT = 2000


class Ledger:
    """Receipts of the results in one folder."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store = store
        self.folder = folder
        self._names = store.names(folder)
        self._new: list[Receipt] = []
        self._last_flush = time.monotonic()
        self._segments = sum(name.endswith(".jsonl") for name in self._names)

    @property
    def results(self) -> list[str]:
        """File names of the results that were there when the ledger was opened."""
        return [name for name in self._names if name.endswith(SUFFIX)]

    def receipts(self, parts: Sequence[str]) -> Iterator[Receipt]:
        """The receipts of these parts, which must all have their results."""
        wanted = set(parts)
        for name in reversed(self._names):
            if name.endswith(".jsonl"):
                for line in reversed(self.store.read(f"{self.folder}/{name}").splitlines()):
                    receipt = _parsed(line)
                    if receipt and receipt.part in wanted:
                        wanted.discard(receipt.part)
                        yield receipt
        with ThreadPoolExecutor(8) as pool:
            missing = (f"{self.folder}/{part}{SUFFIX}" for part in sorted(wanted))
            for receipt in pool.map(lambda name: read_receipt(self.store, name), missing):
                self._new.append(receipt)
                yield receipt

    def add(self, receipt: Receipt) -> None:
        self._new.append(receipt)
        if len(self._new) >= _FLUSH_COUNT or time.monotonic() - self._last_flush > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what was added since the last time as a segment."""
        if not self._new:
            return
        taken = {name for name in self.store.names(self.folder) if name.endswith(".jsonl")}
        while (name := f"receipts-{self._segments:06d}.jsonl") in taken:
            self._segments += 1
        text = "".join(receipt.to_json() + "\n" for receipt in self._new)
        self.store.write(f"{self.folder}/{name}", text.encode())
        self._new = []
        self._last_flush = time.monotonic()


def _parsed(line: bytes) -> Receipt | None:
    """None for a torn line or one that is no receipt; the result itself still has it."""
    try:
        return Receipt.from_json(line)
    except (ValueError, TypeError, AttributeError, AssertionError):
        return None

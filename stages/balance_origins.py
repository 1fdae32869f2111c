"""Takes so many samples of each source of a mix: exact numbers, or shares of the whole."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.base import GlobalStage, Sketches


class BalanceOrigins(GlobalStage):
    """Samples of several origins -> a seeded random part of each; put it after the filters.

    642,500 of `llava`, 30,000 of `sharegpt4v`, most: {sharegpt4v: 23000}
        -> 7,000 of the latter are Reject("origin_full", 30000, 23000)

    Every sample draws a lot from a hash of its key, and the lowest of each origin stay. Deciding takes eight
    bytes of memory a sample.
    """

    reads = ("key", "origin")
    writes = {"lot": float}
    sketches = {"origin": str, "lot": float}
    decides = {"_last": float, "_there": int, "_taken": int}

    most: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Most samples of an origin, by its name; as many as there are of those not named."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Weight of each origin in the whole, such as {llava: 3, sharegpt4v: 1}: as many samples are taken as the
    scarcest origin allows. Empty takes all that `most` leaves."""
    seed: int = 0
    """Another number takes other samples."""

    def sketch(self, part: Columns) -> Columns:
        return {"origin": part["origin"], "lot": self._lots(part["key"])}

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        lots: dict[str, list[np.ndarray[tuple[int], np.dtype[np.float64]]]] = {}
        for sketch in sketches:
            origins, drawn = np.array(sketch["origin"], object), np.array(sketch["lot"], np.float64)
            for origin in dict.fromkeys(sketch["origin"]):
                lots.setdefault(origin, []).append(drawn[origins == origin])
        drawn_by = {origin: np.sort(np.concatenate(some)) for origin, some in lots.items()}
        takes = self._numbers({origin: len(some) for origin, some in drawn_by.items()})
        verdicts = {}
        for origin, some in drawn_by.items():
            last = float(some[takes[origin] - 1]) if takes[origin] else -1.0
            verdicts[origin] = _Verdict(last, len(some), takes[origin])
        for sketch in sketches:
            rows = [verdicts[origin] for origin in sketch["origin"]]
            yield {name: [row[i] for row in rows] for i, name in enumerate(self.decides)}

    def process(self, batch: Columns) -> Columns:
        verdicts = zip(*(batch[name] for name in self.decides))
        return {
            "lot": [
                lot if lot <= last else Reject("origin_full", there, taken)
                for lot, (last, there, taken) in zip(self._lots(batch["key"]), verdicts)
            ]
        }

    def _numbers(self, there: dict[str, int]) -> dict[str, int]:
        """How many samples of each origin are taken."""
        for name in [*self.most, *self.shares]:
            if name not in there:
                raise UserError(
                    f"balance_origins names {name}, which has no samples; there are: {_list(there)}"
                )
        allowed = {origin: min(count, self.most.get(origin, count)) for origin, count in there.items()}
        if not self.shares:
            return allowed
        if missing := [origin for origin in there if origin not in self.shares]:
            raise UserError(f"balance_origins gives no share to {_list(missing)}; give one to every origin")
        unit = min(count / self.shares[origin] for origin, count in allowed.items())
        # What is a whole number but for the last bit is meant to be it.
        return {origin: math.floor(unit * self.shares[origin] + 1e-6) for origin in there}

    def _lots(self, keys: list[str]) -> list[float]:
        """A number in 0..1 for each key, of 53 bits: two that are equal are as good as never drawn."""
        digests = (hashlib.blake2b(f"{self.seed}:{key}".encode(), digest_size=8).digest() for key in keys)
        return [(int.from_bytes(digest, "big") >> 11) / 2**53 for digest in digests]


class _Verdict(NamedTuple):
    last: float
    there: int
    taken: int


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)

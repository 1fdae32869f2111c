"""What all deduplication shares: features of the rows -> clusters, a keeper for each, and who goes.

A *thing* is what may be another's duplicate: an image with all its samples, or a caption. `sketch`
makes a short feature of each, things of equal features are joined, and those which `join_near` finds; what
hangs together is a cluster. A cluster is called by its keeper.
"""

import hashlib
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from typing import IO, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.base import GlobalStage, Sketches
from gritmill.stages.dedup.components import Components, Numbers

Features = np.ndarray[Any, np.dtype[np.uint8]]
"""One feature a row, each of the same number of bytes."""

_BLOCK = 65536
_NONE = np.empty(0, np.int64)


class Deduplicate(GlobalStage):
    """Keeps one of each cluster of duplicates."""

    sketches = {"thing": str, "rank": float, "feature": bytes, "problem": str}
    decides = {"_keeper": str, "_size": int, "_measured": float, "_problem": str}

    of: ClassVar[str]
    """`image` or `caption`: what its columns begin with."""
    thing: ClassVar[str]
    """The column which says what thing a row belongs to."""
    measures: ClassVar[str | None] = None
    """The column for how near a thing is to its keeper, where that is measured."""

    batch_size: int = Field(default=100_000, ge=1)
    """Rows handed to one call."""
    mode: Literal["drop", "measure"] = "drop"
    """`measure` writes the clusters and drops nothing."""

    def join_near(self, features: Features, components: Components) -> None:
        """Joins the row numbers of features that are near. All features differ."""

    def nearness(self, feature: bytes, keeper: bytes) -> float:
        """How near a thing is to its keeper, for the column `measures`."""
        return 0.0

    @property
    @abstractmethod
    def limit(self) -> str:
        """The option that decides, with its value: `radius 15`."""

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        with tempfile.TemporaryFile() as file:
            clusters, sizes = self._clusters(_gathered(sketches, file), file)
        keepers = _keepers(sketches, clusters, sizes)
        start = 0
        for sketch in sketches:
            labels = clusters[start : start + len(sketch["thing"])]
            start += len(labels)
            rows = zip(
                sketch["thing"], sketch["feature"], labels.tolist(), sizes[labels].tolist(), strict=True
            )
            kept = [
                (keepers[label], size) if size > 1 else (_Keeper(0, t, f), 1) for t, f, label, size in rows
            ]
            yield {
                "_keeper": [keeper.thing for keeper, _ in kept],
                "_size": [size for _, size in kept],
                "_measured": [
                    None
                    if feature is None or keeper.feature is None
                    else self.nearness(feature, keeper.feature)
                    for feature, (keeper, _) in zip(sketch["feature"], kept, strict=True)
                ],
                "_problem": sketch["problem"],
            }

    def process(self, batch: Columns) -> Columns:
        rows = list(zip(*(batch[name] for name in (self.thing, *self.decides)), strict=True))
        kind = self.writes[self.measures] if self.measures else float
        out: Columns = {
            f"{self.of}_cluster": batch["_keeper"],
            f"{self.of}_cluster_size": [self._judged(*row) for row in rows],
        }
        if self.measures:
            out[self.measures] = [None if value is None else kind(value) for value in batch["_measured"]]
        return out

    def _judged(self, thing: str, keeper: str, size: int, measured: float, problem: str) -> int | Reject:
        if problem is not None:
            return Reject("unreadable", problem)
        if thing == keeper or self.mode == "measure":
            return size
        name = (self.measures or "").removeprefix(f"{self.of}_")
        how = f" ({name} {round(measured, 4):g})" if self.measures and measured is not None else ""
        return Reject(f"duplicate_{self.of}", f"duplicate of {keeper}{how}", self.limit)

    def _clusters(self, rows: "_Rows", file: IO[bytes]) -> tuple[Numbers, Numbers]:
        """The cluster of each row, and the things of each cluster."""
        components = Components(rows.things)
        if rows.width:
            owners = rows.thing[rows.has_feature]
            _, first, number = np.unique(rows.feature, return_index=True, return_inverse=True)
            components.join(owners, owners[first][number])
            features = np.memmap(file, np.uint8, "r").reshape(-1, rows.width)
            with tempfile.TemporaryFile() as distinct_file:
                alike = Components(len(first))
                self.join_near(_written(features, first, distinct_file), alike)
            components.join(owners[first], owners[first[alike.all()]])
        clusters = components.all()
        return clusters[rows.thing], np.bincount(clusters, minlength=rows.things)


class _Rows(NamedTuple):
    """All rows, compactly; their features lie in a file."""

    thing: Numbers
    """The number of each row's thing."""
    things: int
    has_feature: np.ndarray[Any, np.dtype[np.bool_]]
    feature: Numbers
    """64 bits of a hash of each feature."""
    width: int
    """Bytes of a feature; 0 if there are none."""


class _Keeper(NamedTuple):
    """The first in order of these stays."""

    against: float
    """What speaks against it: its rank, negated."""
    thing: str
    feature: bytes | None


def _hash(data: bytes) -> int:
    """64 bits of a SHA-256. In a billion things two share one by chance once in 37 runs."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], signed=True)


def _gathered(sketches: Sketches, file: IO[bytes]) -> _Rows:
    """Goes through all sketches once; keeps some 20 bytes a row, and writes the features to the file."""
    things, has_feature, features, width = [_NONE], [_NONE.astype(bool)], [_NONE], 0
    for sketch in sketches:
        names = (thing.encode("utf-8", "surrogatepass") for thing in sketch["thing"])
        things.append(np.fromiter(map(_hash, names), np.int64))
        has_feature.append(np.array([feature is not None for feature in sketch["feature"]], bool))
        found = [feature for feature in sketch["feature"] if feature is not None]
        features.append(np.fromiter(map(_hash, found), np.int64))
        width = len(found[0]) if found else width
        file.write(b"".join(found))
    file.flush()
    known, thing = np.unique(np.concatenate(things), return_inverse=True)
    return _Rows(thing, len(known), np.concatenate(has_feature), np.concatenate(features), width)


def _written(features: Features, chosen: Numbers, file: IO[bytes]) -> Features:
    """Some of the features, in another file: in memory they could be large."""
    for start in range(0, len(chosen), _BLOCK):
        file.write(features[chosen[start : start + _BLOCK]].tobytes())
    file.flush()
    return np.memmap(file, np.uint8, "r").reshape(-1, features.shape[1])


def _keepers(sketches: Sketches, clusters: Numbers, sizes: Numbers) -> dict[int, _Keeper]:
    """The keeper of each cluster that has more than one member."""
    keepers: dict[int, _Keeper] = {}
    start = 0
    for sketch in sketches:
        labels = clusters[start : start + len(sketch["thing"])]
        start += len(labels)
        for row in np.flatnonzero(sizes[labels] > 1).tolist():
            label = int(labels[row])
            one = _Keeper(-sketch["rank"][row], sketch["thing"][row], sketch["feature"][row])
            if label not in keepers or one[:2] < keepers[label][:2]:
                keepers[label] = one
    return keepers

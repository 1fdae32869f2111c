"""A job -> the steps it takes, each with its identity, and the parts it works on.

Steps run part by part. A global stage, which must have seen all parts before it judges one, ends a
pass: its `sketch` is the last step of a pass, its decision is taken once, its `process` opens the
next. The last pass works on output shards instead of parts.

    pass 1   source > image_check > noun_chunks > ground > ... > shards (sketch)     for each part
             shards: decide                                                           once
    pass 2   shards (process)                                                         for each part
    pass 3   write                                                                    for each shard
"""

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from gritmill.pipeline.engine.identity import DIGITS, Identity, classes_code, code_of, digest
from gritmill.pipeline.engine.recipes import Job
from gritmill.pipeline.engine.results import SUFFIX
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.output.shards import AssignShards, Shard
from gritmill.pipeline.sources.base import Part, Source
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.errors import UserError
from gritmill.stages.base import GlobalStage, Stage
from gritmill.stages.filters.base import AtLeast, AtMost, Filter
from gritmill.stages.maker import Maker

WRITES = ("gritmill.pipeline.engine.write_shard:write_shard", "gritmill.pipeline.output.shards:list_shards")
"""What makes the files, whatever their format."""
SIGNS = "gritmill.pipeline.engine.signing:signing"
"""What the engine adds to conversations."""

_CHUNK = 65536
_IS_RESULT = re.compile(rf"[0-9a-f]{{{DIGITS}}}{re.escape(SUFFIX)}").fullmatch

Kind = Literal["source", "stage", "sketch", "process", "write"]


class Resources(NamedTuple):
    """What a worker of a step holds; steps of equal needs share a pool of workers."""

    cpus: float
    gpus: float
    one_worker: str = ""
    """Name of the step that has the only worker of its pool; empty where there may be several."""
    pinned_packages: tuple[str, ...] = ()
    """Packages that a worker has in versions of its own: `("transformers==4.57.1",)`."""


class Limit(NamedTuple):
    """A number of a filter, and the reason for which a row is dropped beyond it.

    >>> Limit("words", "too_few_words", "at least", 3)
    """

    column: str
    reason: str
    side: Literal["at least", "at most"]
    threshold: float | None
    """None drops none."""


@dataclass(frozen=True, eq=False)
class Step:
    """One thing done to each part, or, for `write`, to each shard."""

    name: str
    kind: Kind
    identity: str
    resources: Resources
    writes: dict[str, Any]
    stage: Stage | None = None
    versions: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it was told: thresholds and the like."""
    limits: tuple[Limit, ...] = ()
    """Between which its measurements must lie."""
    appends: tuple[str, ...] = ()
    """Columns of which it writes what comes after the values of earlier steps."""

    @property
    def folder(self) -> str:
        """Where its results lie in the work directory: `ground-3f9a...`."""
        sketch = ".sketch" if self.kind == "sketch" else ""
        return f"{self.name}{sketch}-{self.identity}"

    def result(self, unit: str) -> str:
        """The file that holds its result for a part."""
        return f"{self.folder}/{unit}{SUFFIX}"

    @property
    def decision(self) -> str:
        """Where a global stage's decision lies; the same for its sketch and its process step."""
        return f"{self.name}-{self.identity}/decision.arrow"

    @property
    def makes_rows(self) -> bool:
        """True if its result says which rows of a part go on."""
        return self.kind in ("source", "stage", "process")


@dataclass(frozen=True)
class Unit:
    """What a task works on: a part of the source, or a shard of the output."""

    index: int
    id: str
    spec: dict[str, Any]


class Parts:
    """The parts of a plan, compactly: a million of them take some 100 MB.

    Written to the work directory once, so that workers look up any part by its number.
    """

    def __init__(self, ids: np.ndarray[Any, np.dtype[np.uint64]], specs: pa.ChunkedArray) -> None:
        self._ids = ids
        self._specs = specs

    @classmethod
    def of(cls, parts: Iterable[Part]) -> "Parts":
        """Raises `UserError` if two parts are the same, which a source's listing must not give."""
        ids = array("Q")
        chunks: list[pa.Array] = []
        texts: list[str] = []
        for part in parts:
            ids.append(int(digest(part), 16))
            texts.append(json.dumps(part, sort_keys=True, ensure_ascii=False))
            if len(texts) == _CHUNK:
                chunks.append(pa.array(texts))
                texts = []
        chunks.append(pa.array(texts, pa.string()))
        made = cls(np.array(ids, np.uint64), pa.chunked_array(chunks))
        unique, counts = np.unique(made._ids, return_counts=True)
        if len(unique) != len(made):
            twice = int(np.flatnonzero(made._ids == unique[counts > 1][0])[0])
            spec = json.dumps(made[twice].spec)[:200]
            raise UserError(f"the source names one part twice: {spec}. List every file once.")
        return made

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Unit:
        return Unit(index, self.id(index), json.loads(self._specs[index].as_py()))

    def __iter__(self) -> Iterator[Unit]:
        return (self[i] for i in range(len(self)))

    def id(self, index: int) -> str:
        """A part's digest, which its results are called by."""
        return f"{int(self._ids[index]):0{DIGITS}x}"

    @property
    def digest(self) -> str:
        """Changes with any part; the identity of whatever depends on all of them."""
        return digest(self._ids.astype(">u8").tobytes().hex())

    def done(self, names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which parts have their result among these file names."""
        found = array("Q", (int(name[:DIGITS], 16) for name in names if _IS_RESULT(name)))
        return np.isin(self._ids, np.array(found, np.uint64))

    def chosen(self, which: np.ndarray[Any, np.dtype[np.bool_]]) -> list[str]:
        """The ids of some parts."""
        return [self.id(int(i)) for i in np.flatnonzero(which)]

    def save(self, store: Store, name: str) -> None:
        table = pa.table({"id": pa.array(self._ids), "spec": self._specs})
        with store.writing(name) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, store: Store, name: str) -> "Parts":
        table = pa.ipc.open_file(store.open_arrow(name)).read_all()
        return cls(table["id"].to_numpy(), table["spec"])


class Shards:
    """The units of the last pass: the shards of the output."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> Unit:
        shard = self.shards[index]
        return Unit(index, shard.name, asdict(shard))

    def done(self, names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        have = {name.removesuffix(SUFFIX) for name in names}
        return np.array([shard.name in have for shard in self.shards], dtype=bool)

    def chosen(self, which: np.ndarray[Any, np.dtype[np.bool_]]) -> list[str]:
        return [shard.name for shard, is_chosen in zip(self.shards, which, strict=True) if is_chosen]


@dataclass(frozen=True)
class Pass:
    """Steps that each part goes through on its own; what follows must wait for all parts."""

    steps: tuple[int, ...]
    """Numbers of the steps in the plan."""
    decide: int | None
    """The sketch step whose decision is taken at the end."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The steps of a run and the parts that they work on: where every result lies."""

    steps: tuple[Step, ...]
    parts: Parts

    @property
    def parts_file(self) -> str:
        return f"parts-{self.parts.digest}.arrow"

    @property
    def passes(self) -> list[Pass]:
        """The passes over the parts; the one over the shards is not among them."""
        found, steps = [], []
        for number, step in enumerate(self.steps):
            if step.kind == "write":
                continue
            steps.append(number)
            if step.kind == "sketch":
                found.append(Pass(tuple(steps), decide=number))
                steps = []
        return [*found, Pass(tuple(steps), decide=None)]

    @property
    def sharding(self) -> Step:
        """The sketch step whose decision says which shards there are, the last of its kind."""
        return next(step for step in reversed(self.steps) if step.kind == "sketch")

    @property
    def write(self) -> int:
        """The number of the step that writes shards, the last."""
        return len(self.steps) - 1


@dataclass(frozen=True, kw_only=True)
class Plan(Layout):
    """Everything that is fixed before the first task runs."""

    job: Job
    source: Source
    made_of: Mapping[str, Identity]
    """What the identity of each step was made of, by its name."""


def make_plan(job: Job, parts: Parts) -> Plan:
    """Lays out the steps of a job. A step's identity covers its options, what its code decides, the revision
    of its model and of all that it reads, and the identity of what feeds it."""
    made_of = said_by(job)
    # Sources may tell their columns from files, whose change must not leave results with other columns.
    columns = {"columns": ", ".join(sorted(job.source.provides()))}
    made_of["source"] = replace(made_of["source"], revision=columns)
    feeding = made_of["source"].digest
    steps = [Step("source", "source", feeding, Resources(1, 0), job.source.provides())]
    for name, stage in _stages(job):
        pinned_packages = _runtime(stage)
        revision = stage.revision() | pinned_packages
        seen = parts.digest if isinstance(stage, GlobalStage) else ""
        made_of[name] = replace(made_of[name], revision=revision, parts=seen, before=feeding)
        feeding = made_of[name].digest
        gpus = -1 if stage.gpus is None else stage.gpus
        pins = tuple(f"{package}=={version}" for package, version in sorted(pinned_packages.items()))
        resources = Resources(stage.cpus, gpus, name if stage.one_worker else "", pins)
        versions = tuple(sorted(revision.items()))
        appends = () if isinstance(stage, Maker) and stage.replace else stage.appends
        about = (stage, versions, dict(made_of[name].options), _limits(stage), appends)
        if isinstance(stage, GlobalStage):
            steps.append(Step(name, "sketch", feeding, resources, stage.sketches, *about))
            steps.append(Step(name, "process", feeding, resources, stage.writes, *about))
        else:
            steps.append(Step(name, "stage", feeding, resources, stage.writes, *about))
    made_of["write"] = replace(made_of["write"], before=feeding)
    kept = {"keep": job.output.keep} if job.output.keep else {}
    written = Step("write", "write", made_of["write"].digest, Resources(1, 0), {"key": str}, options=kept)
    steps.append(written)
    return Plan(job=job, source=job.source, steps=tuple(steps), parts=parts, made_of=made_of)


def said_by(job: Job) -> dict[str, Identity]:
    """Of each step, the options and the code: what decides its result as far as the recipe says it."""
    source = job.source
    made_of = {"source": _said([source, *source.inner()], source.model_dump(mode="json"))}
    for name, stage in _stages(job):
        options = stage.model_dump(mode="json", exclude=set(stage.run_options))
        signed = [SIGNS] if list[Conversation] in stage.writes.values() else []
        made_of[name] = _said([stage, *stage.inner()], options, signed)
    formats = job.output.formats
    code = code_of([*WRITES, *(FORMATS.target(name) for name in formats)])
    kept = {"keep": job.output.keep} if job.output.keep else {}
    made_of["write"] = Identity({"formats": list(formats)} | kept, code)
    return made_of


def _said(inner: Sequence[Source | Stage], options: dict[str, Any], more: Sequence[str] = ()) -> Identity:
    code = classes_code(inner, [*more, *(target for each in inner for target in each.targets())])
    return Identity(options, code)


def _stages(job: Job) -> Iterator[tuple[str, Stage]]:
    """The stages of a job, and the one at the end of every recipe."""
    yield from ((named.name, named.stage) for named in job.stages)
    assign = AssignShards(
        shard_size=job.output.shard_size,
        validation=job.output.splits.validation,
        test=job.output.splits.test,
        seed=job.output.split_seed,
    )
    yield "shards", assign


def _limits(stage: Stage) -> tuple[Limit, ...]:
    """Those of a filter's measurements that are numbers."""
    if not isinstance(stage, Filter):
        return ()
    return tuple(
        Limit(
            bound.column,
            bound.reason,
            "at least" if isinstance(bound, AtLeast) else "at most",
            getattr(stage, bound.option),
        )
        for bound in stage.bounds
        if isinstance(bound, (AtLeast, AtMost)) and stage.writes[bound.column] in (int, float)
    )


def _runtime(stage: Stage) -> dict[str, str]:
    return {
        package: version
        for one in (stage, *stage.inner())
        for package, version in one.pinned_packages.items()
    }


def kept_columns(steps: Sequence[Step]) -> dict[str, Any]:
    """The columns that stay with the samples, with their types."""
    have = columns_before(steps, len(steps))
    return {name: have[name] for name in steps[-1].options.get("keep", ())}


def columns_before(steps: Sequence[Step], number: int) -> dict[str, Any]:
    """Every column, with its type, that exists when a step begins."""
    have: dict[str, Any] = {}
    for step in steps[:number]:
        if step.makes_rows:
            have |= step.writes
    return have

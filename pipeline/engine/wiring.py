"""Whether the columns of a recipe fit together: who reads what, and what is wrong once one is made anew."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gritmill.pipeline.engine.yaml_lines import Path
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.output.shards import AssignShards
from gritmill.pipeline.sources.base import Source
from gritmill.schemas.column_types import UNKNOWN, type_word
from gritmill.schemas.conversations import Conversation
from gritmill.schemas.records import COLUMNS, FIELDS
from gritmill.stages.base import Stage
from gritmill.stages.registry import all_stages


@dataclass(frozen=True)
class NamedStage:
    """A stage under the name that it has in this recipe."""

    name: str
    stage: Stage


class Mistake(NamedTuple):
    """What is wrong, and where in the recipe."""

    place: Path
    message: str


class _Tie(NamedTuple):
    """A column that is true only as long as another stays as it is."""

    to: str
    maker: str
    """The stage that made it; empty where the source brought it."""


def wiring_mistakes(
    source: Source, stages: Sequence[tuple[int, NamedStage]], formats: Iterable[str], keep: Iterable[str]
) -> Iterator[Mistake]:
    """Each stage, with its number in the recipe, and each format must find the columns that it reads, and the
    output those that it keeps; a column keeps its type; what is counted in a text or aligned with a column is
    made after the last stage that writes these."""
    have = source.provides()
    for i, (name, stage) in ((i, (named.name, named.stage)) for i, named in stages):
        place: Path = ("stages", i)
        for column in stage.reads:
            if column not in have:
                yield Mistake(place, f"{name} reads column {column}, {_who_writes(column)}")
        for column, kind in stage.writes.items():
            if have.get(column, kind) != kind:
                yield Mistake(place, f"{name} writes column {column} with another type than before")
            elif kind == list[Conversation] and column in have.keys() - {*stage.reads, *stage.appends}:
                yield Mistake(place, _would_lose(name, column))
        have = have | stage.writes
    yield from _offset_mistakes(source, stages)
    yield from _alignment_mistakes(source, stages)
    for column in AssignShards.reads:
        if column not in have:
            yield Mistake(("output",), f"the output needs column {column}, {_who_writes(column)}")
    for name in formats:
        for column in FORMATS[name].reads:
            if column not in have:
                words = f"format {name} needs column {column}, {_who_writes(column)}"
                yield Mistake(("output", "formats"), words)
    for i, column in enumerate(keep):
        if column not in have:
            yield Mistake(("output", "keep", i), f"keep names column {column}, {_who_writes(column)}")
        elif column in {*FIELDS, *COLUMNS}:
            words = f"keep names {column}, which a record holds under this name already; leave it out"
            yield Mistake(("output", "keep", i), words)
        elif any(word in type_word(have[column]) for word in (UNKNOWN, "bytes")):
            words = f"keep names column {column}, whose type JSON cannot hold or is none of gritmill's"
            yield Mistake(
                ("output", "keep", i), f"{words}; let its stage write numbers, texts or lists of them"
            )


def _offset_mistakes(source: Source, stages: Iterable[tuple[int, NamedStage]]) -> Iterator[Mistake]:
    """A text must not be rewritten once its characters are counted."""
    ties = {column: _Tie(text, "") for one in _all(source) for column, text in one.offsets_into.items()}
    ties = {column: tie for column, tie in ties.items() if column in source.provides()}
    for i, named in stages:
        stale = [(column, tie) for column, tie in ties.items() if tie.to in named.stage.writes]
        for column, tie in stale[:1]:
            mend = f"put it before {tie.maker}" if tie.maker else f"let the source not `carry` {column}"
            words = f"{named.name} rewrites {tie.to}, whose characters are counted by now; {mend}"
            yield Mistake(("stages", i), words)
        for column, text in named.stage.offsets_into.items():
            ties.setdefault(column, _Tie(text, named.name))


def _alignment_mistakes(source: Source, stages: Iterable[tuple[int, NamedStage]]) -> Iterator[Mistake]:
    """What has an entry for each of a column's must be made after the last stage that chooses these."""
    ties = {column: _Tie(to, "") for one in _all(source) for column, to in one.aligned_with.items()}
    ties = {column: tie for column, tie in ties.items() if column in source.provides()}
    stale: dict[str, tuple[int, str]] = {}
    wrong: dict[str, tuple[int, str]] = {}
    for i, named in stages:
        stage = named.stage
        wrong |= {column: where for column, where in stale.items() if column in stage.reads}
        chosen = stage.writes.keys() - set(stage.keeps_order_of)
        stale |= {column: (i, named.name) for column, tie in ties.items() if tie.to in chosen}
        stale = {column: where for column, where in stale.items() if column not in stage.writes}
        made = [column for column in stage.aligned_with if column not in stage.reads]
        ties |= {column: _Tie(stage.aligned_with[column], named.name) for column in made}
    for column, (i, name) in (stale | wrong).items():
        tie = ties[column]
        mend = f"put {tie.maker} after it" if tie.maker else "let the source not `carry` them"
        words = f"{name} chooses {tie.to} anew, and {column} would no longer be theirs; {mend}"
        yield Mistake(("stages", i), words)


def _all(source: Source) -> list[Source]:
    return [source, *source.inner()]


def _would_lose(name: str, column: str) -> str:
    return (
        f"{name} writes {column} without a look at those that are there, which would be lost; build its "
        f"class on Maker (stages/maker.py), which appends, or let it read {column} if it is to rewrite them"
    )


def _who_writes(column: str) -> str:
    writers = [name for name, cls in all_stages().items() if column in cls.writes]
    if writers:
        return f"which nothing before it writes; put {' or '.join(writers)} before it"
    return "which neither the source nor a stage before it gives"

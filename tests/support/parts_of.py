"""Global stages run over columns in memory, part by part, as the engine would."""

from collections.abc import Iterator
from typing import Any

from gritmill.schemas.columns import Columns, from_arrow, to_arrow
from gritmill.stages.base import GlobalStage


class Kept:
    """Sketches that went through Arrow, as those on disk have."""

    def __init__(self, sketches: list[Columns], types: dict[str, Any]) -> None:
        self.arrays = [
            {name: to_arrow(sketch[name], kind) for name, kind in types.items()} for sketch in sketches
        ]
        self.types = types

    def __len__(self) -> int:
        return len(self.arrays)

    def __iter__(self) -> Iterator[Columns]:
        for arrays in self.arrays:
            yield {name: from_arrow(arrays[name], kind) for name, kind in self.types.items()}


def run_in_parts(stage: GlobalStage, columns: Columns, part_size: int) -> Columns:
    """The columns that the stage writes, all parts together."""
    count = len(next(iter(columns.values())))
    parts = [
        {name: values[start : start + part_size] for name, values in columns.items()}
        for start in range(0, count, part_size)
    ]
    stage.setup()
    sketches = Kept(
        [stage.sketch({name: part[name] for name in stage.reads}) for part in parts], stage.sketches
    )
    out: Columns = {name: [] for name in stage.writes}
    for part, decision in zip(parts, stage.decide(sketches), strict=True):
        given = {name: part[name] for name in stage.reads} | decision
        for name, values in stage.process(given).items():
            out[name] += values
    return out

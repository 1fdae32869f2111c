"""Two finished runs side by side: what their recipes say differently, and what became of the rows.

Nothing is run or trained: the recipe, the statistics and the metrics that each run left are read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from gritmill.pipeline.engine.finish import STATS
from gritmill.pipeline.engine.recipes import find_run_files
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

ABSENT = "-"
"""Stands for an option or step that one of the two does not have."""


@dataclass(frozen=True)
class Run:
    """A finished run, as found by its recipe or one of its folders."""

    job: RunFiles
    stats: dict[str, Any]
    """`stats.json` of its dataset."""

    @property
    def model(self) -> str:
        """The folder of what was trained on it, whether or not something was."""
        return model_directory(self.job)


def model_directory(job: RunFiles) -> str:
    """Where `pipeline train` puts the model and `pipeline eval` its scores."""
    chosen = job.train.dir if job.train else None
    return chosen or job.output.dir.rstrip("/") + ".model"


def finished_run(name: str) -> Run:
    """A run by its recipe, its work folder or its output folder. Raises `UserError` if it has not ended."""
    job = find_run_files(name)
    output = Store(job.output.dir)
    if not output.exists(STATS):
        raise UserError(f"{name} has no finished dataset in {output.root}; `pipeline run {name}` makes it")
    return Run(job, json.loads(output.read(STATS)))


def recipe_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(option, value in a, value in b) wherever two recipes differ; stages by their name.

    [("stages.select_boxes.min_score", "0.65", "0.5"), ("stages.tasks", "-", "{}")]
    """
    flat_a, flat_b = dict(_flat(a)), dict(_flat(b))
    names = dict.fromkeys([*flat_a, *flat_b])
    pairs = ((name, flat_a.get(name, ABSENT), flat_b.get(name, ABSENT)) for name in names)
    return [pair for pair in pairs if pair[1] != pair[2]]


def recipe_table(a: Run, b: Run) -> Table:
    """The recipes' differences for a terminal."""
    table = _table("Recipe", "option", "A", "B")
    for row in recipe_differences(a.job.data, b.job.data):
        table.add_row(*row)
    return table


def funnel_comparison(a: Run, b: Run) -> Table:
    """Rows that each step kept, and their share of those that it was given."""
    table = _table("Funnel", "step", "A kept", "", "B kept", "", numbers=True)
    kept_a, kept_b = _kept(a.stats), _kept(b.stats)
    for step in dict.fromkeys([*kept_a, *kept_b]):
        table.add_row(step, *kept_a.get(step, (ABSENT, "")), *kept_b.get(step, (ABSENT, "")))
    return table


def _table(title: str, first: str, *others: str, numbers: bool = False) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right" if numbers else "left", overflow="fold")
    return table


def _kept(stats: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        row["step"]: (f"{row['rows_out']:,}", f"{row['rows_out'] / max(row['rows_in'], 1):.1%}")
        for row in stats["funnel"]
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every option under its dotted name. A list of stages is a mapping by name; other lists are values."""
    if name == "stages":
        stages = [{entry: {}} if isinstance(entry, str) else entry for entry in value]
        pairs = [(kind, options or {}) for entry in stages for kind, options in entry.items()]
        value = {options.get("as", kind): options for kind, options in pairs}
    if isinstance(value, Mapping) and (value or not name.count(".")):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, ensure_ascii=False, default=str)

"""What each filter measured, and where its thresholds lie: kept and dropped rows, as counts of values."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gritmill.pipeline.engine.plan import Step
from gritmill.pipeline.engine.results import read_columns
from gritmill.pipeline.report.run import ReportedRun, Stages

_DIGITS = 3
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$"


@dataclass
class MeasuredColumn:
    """The values of one measurement of a filter."""

    step: str
    column: str
    bounds: list[tuple[str, float]]
    """`at least 3`, `at most 200`, with the threshold."""
    kept: Counter[float] = field(default_factory=Counter)
    """Rows by value, to three digits. Those that were dropped for something else are among them."""
    dropped: Counter[float] = field(default_factory=Counter)
    """Rows that lay out of bounds."""


def measured(run: ReportedRun) -> list[MeasuredColumn]:
    """Of all filters, in the order of the steps; empty where the results are not at hand."""
    if run.stages is None:
        return []
    return [
        found
        for step in run.stages.plan.steps
        if step.name in run.funnel
        for found in _of_step(run.stages, step)
        if found.kept or found.dropped
    ]


def _of_step(stages: Stages, step: Step) -> list[MeasuredColumn]:
    columns: dict[str, MeasuredColumn] = {}
    reasons: dict[str, MeasuredColumn] = {}
    for column, reason, side, threshold in step.limits:
        found = columns.setdefault(column, MeasuredColumn(step.name, column, []))
        reasons[reason] = found
        if threshold is not None:
            found.bounds.append((f"{side} {threshold:g}", float(threshold)))
    if columns:
        _count(stages, step, columns, reasons)
    return list(columns.values())


def _count(
    stages: Stages, step: Step, columns: dict[str, MeasuredColumn], reasons: dict[str, MeasuredColumn]
) -> None:
    there = set(stages.work.names(step.folder))
    for unit in stages.plan.parts:
        name = step.result(unit.id)
        if name.rpartition("/")[2] not in there:
            continue
        table = read_columns(stages.work, name, [*columns, "_reason", "_value"])
        for column, found in columns.items():
            found.kept.update(_rounded(table[column].drop_null()))
        for reason, found in reasons.items():
            found.dropped.update(_rounded(_numbers(table, reason)))


def _numbers(table: pa.Table, reason: str) -> pa.ChunkedArray:
    """The values of the rows that were dropped for a reason, which are kept as text."""
    texts = table.filter(pc.equal(table["_reason"], reason))["_value"]
    # A stage may drop for the same reason where it measured nothing.
    return texts.filter(pc.match_substring_regex(texts, _NUMBER)).cast(pa.float64())


def _rounded(values: pa.ChunkedArray) -> Counter[float]:
    """To three digits, so that any number of rows makes few thousand counts."""
    numbers = values.to_numpy().astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    distinct, counts = np.unique(numbers, return_counts=True)
    found = Counter[float]()
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        found[float(f"{value:.{_DIGITS}g}")] += count
    return found

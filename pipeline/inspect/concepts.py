"""Noun phrases before and after a concept balance: the figure by which LLaVA showed its CC3M-595K."""

from collections import Counter
from dataclasses import dataclass

from rich.table import Table

from gritmill.pipeline.engine.inputs import last_with_rows
from gritmill.pipeline.engine.plan import Layout
from gritmill.pipeline.engine.results import kept_rows
from gritmill.pipeline.engine.sketches import StoredSketches
from gritmill.pipeline.engine.terminal import one_line
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.stages.concept_balance import ConceptBalance

BOUNDS = (1, 3, 10, 100, 1000, 10_000)
"""Frequencies at which the table's rows begin."""
_MOST = 10


@dataclass(frozen=True)
class PhraseCounts:
    """How many captions each phrase is in: all that the balance was given, and those that it kept."""

    step: str
    captions_before: int
    captions_after: int
    before: Counter[str]
    after: Counter[str]
    balance: ConceptBalance


def count_phrases(plan: Layout, work: Store) -> PhraseCounts:
    """Counts the phrases of a run. Raises `UserError` if its balance is not through, or has none."""
    steps = [step for step in plan.steps if isinstance(step.stage, ConceptBalance)]
    if not steps:
        raise UserError("the run has no concept_balance; put one after noun_chunks")
    sketch, process = steps[0], steps[1]
    missing = len(plan.parts) - int(plan.parts.done(work.names(process.folder)).sum())
    if missing:
        raise UserError(f"{process.name} has {missing:,} of {len(plan.parts):,} parts to do; run it first")
    fed_by = last_with_rows(plan.steps, plan.steps.index(sketch))
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    rows = stayed = 0
    for unit, found in zip(plan.parts, StoredSketches(work, sketch, plan.parts), strict=True):
        given = kept_rows(work, fed_by.result(unit.id)).tolist()
        kept = set(kept_rows(work, process.result(unit.id)).tolist())
        for row, phrases in zip(given, found["phrases"], strict=True):
            before.update(phrases)
            if row in kept:
                after.update(phrases)
        rows += len(given)
        stayed += len(kept)
    assert isinstance(sketch.stage, ConceptBalance)
    return PhraseCounts(process.name, rows, stayed, before, after, sketch.stage)


def concepts_table(phrases: PhraseCounts) -> Table:
    """Unique phrases by their frequency, and the most frequent ones, for a terminal."""
    table = Table(title=f"Noun phrases at {phrases.step}", title_justify="left", box=None, pad_edge=False)
    for name in ("", "before", "after"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("captions", f"{phrases.captions_before:,}", f"{phrases.captions_after:,}")
    table.add_row("unique phrases", f"{len(phrases.before):,}", f"{len(phrases.after):,}")
    sides = (_by_bound(phrases.before), _by_bound(phrases.after))
    for i, low in enumerate(BOUNDS):
        high = f"to {BOUNDS[i + 1] - 1:,}" if i + 1 < len(BOUNDS) else "and more"
        if any(side[i] for side in sides):
            table.add_row(f"  in {low:,} {high} captions", *(f"{side[i]:,}" for side in sides))
    commonest = sorted(phrases.before.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
    table.add_row("captions with the commonest", "", "")
    for phrase, count in commonest:
        table.add_row(f'  "{one_line(phrase[:60])}"', f"{count:,}", f"{phrases.after[phrase]:,}")
    return table


def how_it_balances(balance: ConceptBalance) -> str:
    """What the numbers of the table come from, in a sentence or two."""
    least, most = balance.min_frequency, balance.max_captions
    return (
        f"A phrase in fewer than {least:,} captions brings in none (min_frequency), any other {most:,} at "
        "most (max_captions). Captions that other phrases brought in come on top."
    )


def _by_bound(counts: Counter[str]) -> list[int]:
    found = [0] * len(BOUNDS)
    for count in counts.values():
        found[max(i for i, low in enumerate(BOUNDS) if count >= low)] += 1
    return found

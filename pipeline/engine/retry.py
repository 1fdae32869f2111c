"""Forgets what went wrong for a reason that may have passed, so that the next run tries again.

A store that timed out, a server that was down: the row is `failed` or `server_error` for ever, because its
part has a result. Nothing else is redone than those parts from that step on, and what sees all parts.
"""

from collections.abc import Collection
from typing import NamedTuple

from gritmill.pipeline.engine.ledger import Ledger
from gritmill.pipeline.engine.plan import Layout
from gritmill.pipeline.engine.sketches import SHARDS
from gritmill.pipeline.storage.store import Store

PASSING = ("server_error",)
"""Reasons for a reject that another time may not have."""


class Forgotten(NamedTuple):
    """What the next run does again.

    >>> Forgotten("generate", 3, 17)
    """

    step: str
    parts: int
    rows: int
    """Those that will be tried again; the other rows of the parts are only read again."""


def forget(plan: Layout, work: Store, reasons: Collection[str] = PASSING) -> list[Forgotten]:
    """Removes the results of parts in which rows failed, or were rejected or passed for one of the reasons.

    From the last step to the first, so that a kill on the way leaves a run that can go on.
    """
    found: list[Forgotten] = []
    since: dict[str, int] = {}
    """Part -> the first of its steps to be done again."""
    for number, step in enumerate(plan.steps):
        if step.kind not in ("stage", "process"):
            continue
        names = work.names(step.folder)
        done = plan.parts.chosen(plan.parts.done(names))
        rows = {
            receipt.part: sum(receipt.failed.values())
            + sum(receipt.rejected.get(reason, 0) + receipt.passed.get(reason, 0) for reason in set(reasons))
            for receipt in Ledger(work, step.folder, names).receipts(done)
        }
        bad = {part: count for part, count in rows.items() if count}
        if bad:
            found.append(Forgotten(step.name, len(bad), sum(bad.values())))
        # A global stage's rows follow from what it sketched of them.
        begin = number - 1 if step.kind == "process" else number
        for part in bad:
            since.setdefault(part, begin)
    if since:
        _remove(plan, work, since)
    return found


def _remove(plan: Layout, work: Store, since: dict[str, int]) -> None:
    """A decision, and all behind it, depends on all parts."""
    first = min(since.values())
    decided = next(n for n, step in enumerate(plan.steps) if step.kind == "sketch" and n >= first)
    for number in range(len(plan.steps) - 1, first - 1, -1):
        step = plan.steps[number]
        if number > decided and step.kind != "sketch":
            work.remove_folder(step.folder)
            continue
        work.remove(f"{step.folder}/{SHARDS}")
        for name in work.names(step.folder):
            if name.endswith(".jsonl"):  # receipts gathered; the results have their own
                work.remove(f"{step.folder}/{name}")
        for part, begin in since.items():
            if begin <= number:
                work.remove(step.result(part))

"""Why a step would run again: what its identity is made of now, beside what it was made of before."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gritmill.pipeline.engine.identity import DIGITS
from gritmill.pipeline.engine.last_run import RECORDED_STEPS, last_run, made_of_file
from gritmill.pipeline.engine.plan import Plan
from gritmill.pipeline.engine.reach import OURS
from gritmill.pipeline.storage.store import Store

_MOST = 4
"""Definitions that are named; of more, only the number is said."""


def reasons(plan: Plan, work: Store) -> dict[str, str]:
    """The steps whose last results are not theirs any more, each with the reason; none before the first run.

    {"ground": "min_score 0.65 -> 0.5", "select_boxes": "the steps before it"}
    """
    if not work.exists(RECORDED_STEPS):
        return {}
    last = {step.name: step.identity for step in last_run(work).steps}
    now = {step.name: step.identity for step in plan.steps}
    return {
        name: _reason(plan, work, name, last.get(name))
        for name, identity in now.items()
        if last.get(name) != identity
    }


def _reason(plan: Plan, work: Store, name: str, last: str | None) -> str:
    if last is None:
        return "it was not in the last run"
    path = made_of_file(name, last)
    if not work.exists(path):
        return "its last results are gone"
    changes = list(_changes(json.loads(work.read(path)), plan.made_of[name].told()))
    return "; ".join(changes) or "the steps before it"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in _differing(before["options"], now["options"]):
        yield f"{name} {_value(before['options'], name)} -> {_value(now['options'], name)}"
    for name in _differing(before["revision"], now["revision"]):
        yield f"{name} revision {_value(before['revision'], name)} -> {_value(now['revision'], name)}"
    # Another class or format is told by the option that chose it.
    if any(now["code"].get(target, value) != value for target, value in before["code"].items()):
        yield _code(before, now)
    if before["parts"] != now["parts"]:
        yield "the parts of the source"


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _value(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "(none)"
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value)


def _code(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`code of stages/select_boxes.py: SelectBoxes.process`, or the versions that have risen."""
    targets = _differing(before["code"], now["code"])
    names = _differing(before["definitions"], now["definitions"])
    if names and any(len(_value(now["code"], target)) == DIGITS for target in targets):
        files: dict[str, list[str]] = {}
        for name in names[:_MOST]:
            module, _, rest = name.partition(":")
            files.setdefault(_file(module), []).append(rest or "what it does when it is loaded")
        told = ", ".join(f"{file}: {', '.join(rest)}" for file, rest in files.items())
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        return f"code of {told}{more}"
    versions = (
        f"{target.partition(':')[2]} {_value(before['code'], target)} -> {_value(now['code'], target)}"
        for target in targets
    )
    return f"version of {', '.join(versions)}"


def _file(module: str) -> str:
    """`gritmill.stages.select_boxes` -> `stages/select_boxes.py`."""
    if "/" in module:
        return module
    return module.removeprefix(f"{OURS}.").replace(".", "/") + ".py"

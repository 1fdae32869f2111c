"""How the results in a work folder were made: the plan of the run that wrote there last.

A plan that is made anew has other fingerprints as soon as our code or a model has changed; what that run
kept and dropped is still worth a look.
"""

import json
from dataclasses import replace

from pipeline.plan import Parts, Plan, make_plan
from pipeline.recipes import load_recipe
from pipeline.store import Store
from schemas.errors import UserError

RECORDED_STEPS = "steps.json"


def remember(plan: Plan, work: Store) -> None:
    """Writes down where the results of each step lie.

    {"parts": "parts-ae07d1d890ea8352.arrow", "steps": [["source", "source", "3994f29c9521a5a2"], ...]}
    """
    steps = [[step.name, step.kind, step.fingerprint] for step in plan.steps]
    work.write(RECORDED_STEPS, json.dumps({"parts": plan.parts_file, "steps": steps}, indent=1).encode())


def last_run(work: Store) -> Plan:
    """The plan of the last run, with its recipe. Raises `UserError` if there was none, or none that can
    be told any more, because a stage or the source of its recipe is not there."""
    if not work.exists(RECORDED_STEPS):
        raise UserError(f"{work.root} holds no run; `pipeline run RECIPE` makes one")
    said = json.loads(work.read(RECORDED_STEPS))
    plan = make_plan(load_recipe(work.root), Parts.load(work, said["parts"]))
    if [[step.name, step.kind] for step in plan.steps] != [[name, kind] for name, kind, _ in said["steps"]]:
        raise UserError(f"{work.root} was made by another version of gritmill; run the recipe again")
    fingerprints = [fingerprint for *_, fingerprint in said["steps"]]
    steps = (replace(step, fingerprint=f) for step, f in zip(plan.steps, fingerprints, strict=True))
    return replace(plan, steps=tuple(steps))

"""How the results in a work folder were made: the layout of the run that wrote there last, as it recorded it.

A plan that is made anew has other identities as soon as our code or a model has changed; what that run
kept and dropped is still worth a look. Neither the source nor a model, nor code that is not ours, is touched
for it: a work folder may be somebody else's.
"""

import json
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from gritmill.pipeline.engine import yaml_lines
from gritmill.pipeline.engine.identity import SCHEME
from gritmill.pipeline.engine.plan import Kind, Layout, Limit, Parts, Plan, Resources, Step
from gritmill.pipeline.engine.recipes import RECORDED, hide_secrets_of
from gritmill.pipeline.engine.recorded_stages import recorded_stage, stage_entry
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.column_types import type_of, type_word
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import hidden, hide, public, without_secrets
from gritmill.stages.base import Stage

RECORDED_STEPS = "steps.json"
MADE_OF = "identity.json"
SCHEME_FILE = "scheme"


def check_scheme(work: Store) -> None:
    """Raises `UserError` for a work folder whose results are called by identities that were made in another
    way: nobody can tell which of them is still right."""
    if work.exists(RECORDED) and not is_of_today(work):
        raise UserError(
            f"{work.root} holds results of another version of gritmill, and which of them are still right "
            "cannot be told; remove them with `pipeline clean RECIPE`, or choose another folder with --work"
        )


def is_of_today(work: Store) -> bool:
    """Whether its results are called as they are today."""
    return work.exists(SCHEME_FILE) and work.read(SCHEME_FILE).decode().strip() == SCHEME


class _Step(BaseModel):
    """A step; its name and identity become the name of a folder."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[\w.:-]+$")]
    kind: Kind
    identity: Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
    cpus: float
    gpus: float
    columns: dict[str, str]
    """Those that it writes, with the word for their type."""
    versions: dict[str, str]
    options: dict[str, Any]
    limits: list[Limit]
    appends: list[str] = []


class _Record(BaseModel):
    """The whole of `steps.json`."""

    model_config = ConfigDict(extra="forbid")

    parts: Annotated[str, Field(pattern=r"^parts-[0-9a-f]+\.arrow$")]
    steps: list[_Step]
    hidden: dict[str, Annotated[str, Field(pattern=r"^(\$\{\w+\}|\*\*\*)$")]]
    """What the addresses in the results must not be seen to hold, and what is shown instead."""


def remember(plan: Plan, work: Store) -> None:
    """Writes down where the results of each step lie and what is in them; beside them, what their identity
    was made of.

    {"parts": "parts-ae07d1d890ea8352.arrow",
     "steps": [{"name": "source", "kind": "source", "identity": "3994f29c9521a5a2", "cpus": 1, "gpus": 0,
                "columns": {"key": "str", ...}, "versions": {}, "options": {}, "limits": [],
                "appends": []}, ...],
     "hidden": {}}
    """
    steps = [
        _Step(
            name=step.name,
            kind=step.kind,
            identity=step.identity,
            cpus=step.resources.cpus,
            gpus=step.resources.gpus,
            columns={name: type_word(kind) for name, kind in step.writes.items()},
            versions=public(dict(step.versions)),
            options=without_secrets(step.options),
            limits=list(step.limits),
            appends=list(step.appends),
        )
        for step in plan.steps
    ]
    for name, identity in {step.name: step.identity for step in plan.steps}.items():
        path = made_of_file(name, identity)
        if not work.exists(path):
            work.write(path, json.dumps(plan.made_of[name].told(), indent=1).encode())
    record = _Record(parts=plan.parts_file, steps=steps, hidden=hidden())
    work.write(RECORDED_STEPS, record.model_dump_json(indent=1).encode())


def made_of_file(name: str, identity: str) -> str:
    """Where it is written down what the identity of a step was made of."""
    return f"{name}-{identity}/{MADE_OF}"


def last_run(work: Store) -> Layout:
    """The layout of the last run. Raises `UserError` if there was none, or none that can be told any more."""
    if not work.exists(RECORDED_STEPS):
        raise UserError(f"{work.root} holds no run; `pipeline run RECIPE` makes one")
    try:
        record = _Record.model_validate_json(work.read(RECORDED_STEPS))
        parts = Parts.load(work, record.parts)
        recipe = yaml_lines.load(work.read(RECORDED).decode(), work.url(RECORDED)).data
        stages = _stages(recipe)
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{work.root} is damaged, or was made by another version of gritmill "
            f"({type(error).__name__}); run the recipe again"
        ) from error
    hide(record.hidden)
    hide_secrets_of(recipe)
    return Layout(steps=tuple(_step(step, stages.get(step.name)) for step in record.steps), parts=parts)


def _step(said: _Step, stage: Stage | None) -> Step:
    return Step(
        name=said.name,
        kind=said.kind,
        identity=said.identity,
        resources=Resources(said.cpus, said.gpus),
        writes={name: type_of(word) for name, word in said.columns.items()},
        stage=stage,
        versions=tuple(said.versions.items()),
        options=said.options,
        limits=tuple(said.limits),
        appends=tuple(said.appends),
    )


def _stages(recipe: dict[str, object]) -> dict[str, Stage | None]:
    """Those of ours in a recorded recipe by their names."""
    entries = recipe["stages"]
    if not isinstance(entries, list):
        raise ValueError("no stages")
    return {name: recorded_stage(kind, options) for name, kind, options in map(stage_entry, entries)}

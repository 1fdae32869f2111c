"""Runs grounders one after another over the same questions."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gritmill.pipeline.engine.recipes import Job, load_recipe
from gritmill.pipeline.grounder_bench.arm import Answers, Arm, answer
from gritmill.pipeline.grounder_bench.questions import AnnotatedSamples, ask, ground_stage
from gritmill.pipeline.grounder_bench.score import (
    AtThreshold,
    at_best_threshold,
    at_threshold,
    average_precision,
    judge,
)
from gritmill.pipeline.grounder_bench.truth import Truth
from gritmill.schemas.errors import UserError
from gritmill.stages.base import Stage
from gritmill.stages.segmenters.base import Segment


class Outcome(NamedTuple):
    """A grounder's line in the table."""

    name: str
    ap: float
    at: AtThreshold
    answers: Answers


def compare_grounders(
    recipe: str,
    variants: Sequence[str],
    overrides: Sequence[str] = (),
    truth: Truth = Truth.clear,
    min_score: float | None = None,
    nms_iou: float = 0.5,
    limit: int | None = None,
    say: Callable[[str], None] = print,
) -> tuple[AnnotatedSamples, list[Outcome]]:
    """Each variant of the recipe's grounder over the recipe's samples; none takes it as it stands.

    A variant is a grounder's name or its options in YAML: `{grounder: onnx, model: yolox.onnx}`. With no
    `min_score`, recall and precision are taken where F1 is best. Where the recipe has a `segment` stage that
    refines boxes, each grounder is judged without and with it. Raises `UserError` for a mistake in the recipe
    or a variant before anything is run.
    """
    job = load_recipe(recipe, overrides)
    name = job.stages[ground_stage(job)].name
    arms: list[tuple[str, Arm]] = []
    if not variants:
        stage = job.stages[ground_stage(job)].stage
        arms.append((_title(stage, {}), Arm(stage)))
    for variant in variants:
        options = _options(variant)
        changed = load_recipe(recipe, [*overrides, f"stages.{name}={json.dumps(options)}"])
        stage = changed.stages[ground_stage(changed)].stage
        arms.append((_title(stage, options), Arm(stage)))
    if refiner := _refiner(job):
        arms = [one for title, arm in arms for one in ((title, arm), _refined(title, arm, refiner))]
    samples = ask(job, truth, limit)
    outcomes = []
    for title, arm in arms:
        missing = [column for column in arm.reads if column not in samples.columns]
        if missing:
            raise UserError(f"{title} reads {', '.join(missing)}, which nothing before it writes")
        say(title)
        answers = answer(arm, samples.columns)
        judged = judge(samples.questions, answers.candidates, nms_iou)
        at = at_best_threshold(judged) if min_score is None else at_threshold(judged, min_score)
        outcomes.append(Outcome(title, average_precision(judged), at, answers))
    return samples, outcomes


def _options(variant: str) -> dict[str, Any]:
    try:
        options = yaml.safe_load(variant)
    except yaml.YAMLError as error:
        raise UserError(f"--try {variant}: this is not YAML: {error}") from error
    if isinstance(options, str):
        return {"grounder": options}
    if not isinstance(options, dict):
        raise UserError(f"--try {variant}: write it as --try '{{grounder: onnx, model: FILE}}'")
    return options


def _refiner(job: Job) -> Segment | None:
    stages = [named.stage for named in job.stages]
    return next((stage for stage in stages if isinstance(stage, Segment) and stage.refine_boxes), None)


def _refined(title: str, arm: Arm, refiner: Segment) -> tuple[str, Arm]:
    return f"{title} + {refiner.segmenter} masks", arm._replace(refiner=refiner)


def _title(stage: Stage, options: dict[str, Any]) -> str:
    """`onnx yolox_nano.onnx nms_iou=0.5`: the grounder, its model, and what else was asked for."""
    kind = getattr(stage, "grounder", type(stage).__name__)
    model = getattr(stage, "model", None)
    others = [f"{key}={value}" for key, value in options.items() if key not in ("grounder", "model")]
    return " ".join([kind, *([Path(model).name] if model else []), *others])

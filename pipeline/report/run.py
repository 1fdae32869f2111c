"""What a report is about: a run's dataset, the results of its stages, and what was trained on it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gritmill.pipeline.engine.finish import STATS
from gritmill.pipeline.engine.last_run import last_run
from gritmill.pipeline.engine.plan import Layout
from gritmill.pipeline.engine.receipts import Total
from gritmill.pipeline.engine.recipes import RecipeError, find_recipe, find_run_files
from gritmill.pipeline.engine.run import work_directory
from gritmill.pipeline.engine.yaml_lines import load as load_yaml
from gritmill.pipeline.inspect.compare import model_directory
from gritmill.pipeline.inspect.status import status
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import without_secrets


@dataclass(frozen=True)
class Stages:
    """The results of a run's stages, where they and the source are at hand."""

    plan: Layout
    work: Store


@dataclass(frozen=True)
class ReportedRun:
    """A run, finished or not."""

    name: str
    output: Store
    model: Store
    """Where a model that was trained on it would lie."""
    stages: Stages | None
    funnel: dict[str, Total]
    versions: dict[str, dict[str, str]]
    """By step, what it was done with."""
    is_finished: bool
    missing: str = ""
    """Why `stages` is None."""


def find_run(name: str, overrides: Sequence[str] = (), work: str | None = None) -> ReportedRun:
    """A run by its recipe, its output folder or its work folder.

    A dataset that was moved away from its source and its work folder is still a run. Raises `UserError`
    where there is neither a finished dataset nor any result.
    """
    try:
        job = find_run_files(name, overrides)
    except RecipeError as error:
        return _dataset_alone(name, error)
    output, folder = Store(job.output.dir), Store(work_directory(job, work))
    stages, totals, missing = None, {}, ""
    try:
        stages = Stages(last_run(folder), folder)
        totals = {step.name: step.total for step in status(stages.plan, folder) if step.done}
    except UserError as error:
        missing = without_secrets(str(error))
    is_finished = output.exists(SUMS)
    if not is_finished and stages is None:
        raise UserError(f"{name} has not been run: {missing}. `pipeline run {name}` makes it.")
    versions = {step.name: dict(step.versions) for step in stages.plan.steps} if stages else {}
    if is_finished:
        totals, versions = _recorded(output)
    model = Store(model_directory(job))
    return ReportedRun(job.name, output, model, stages, totals, versions, is_finished, missing)


def _dataset_alone(name: str, error: RecipeError) -> ReportedRun:
    """A finished dataset by its folder, though its recipe is of another version."""
    output = Store(name)
    if not output.exists(SUMS):
        raise error
    recipe = load_yaml(find_recipe(name).text, name).data
    totals, versions = _recorded(output)
    missing = without_secrets("the recipe cannot be read here: " + "; ".join(error.mistakes))
    model = Store(name.rstrip("/") + ".model")
    return ReportedRun(str(recipe["name"]), output, model, None, totals, versions, True, missing)


def _recorded(output: Store) -> tuple[dict[str, Total], dict[str, dict[str, str]]]:
    """Funnel and versions as `stats.json` has them."""
    stats: dict[str, Any] = json.loads(output.read(STATS))
    totals = {
        row["step"]: Total(
            rows_in=row["rows_in"],
            rows_out=row["rows_out"],
            rejected=Counter(row["rejected"]),
            failed=Counter(row["failed"]),
            passed=Counter(row.get("passed", {})),
        )
        for row in stats["funnel"]
    }
    return totals, stats["versions"]

"""Whose an output folder is. What is finished in it is not replaced by something else without being asked."""

import json
import math
from typing import Any

import yaml
from pydantic import ValidationError

from gritmill.pipeline.engine.finish import SOURCE, STATS
from gritmill.pipeline.engine.recipes import RECORDED, Job, record
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def other_dataset(output: Store, job: Job, limit: int | None) -> str | None:
    """What the folder holds, in words, if a run of this job would put another dataset in its place.

    An edited stage makes no other dataset, nor do new or changed files of the same source, nor more samples
    of it. Raises `UserError` if the folder holds anything that is no dataset of ours.
    """
    if not output.exists(RECORDED):
        if output.is_empty():
            return None
        raise UserError(
            f"{output.root} is not empty and no dataset of ours; choose another output.dir, or empty it first"
        )
    recipe = _mapping(output, RECORDED)
    if (owner := recipe.get("name")) != job.name:
        return f"{output.root} holds the dataset of another recipe, {owner!r}"
    if not output.exists(SUMS):
        return None
    made_from, samples = _counts(output)
    found = f"{output.root} holds a finished dataset of {samples} samples"
    if _source_digest(output, recipe, job) != job.source.digest():
        return f"{found} from another source"
    if limit is not None and limit < made_from:
        return f"{found}, and --limit {limit} takes fewer of the source than it was made from"
    return None


def claim(output: Store, job: Job) -> None:
    """Marks the output folder as this recipe's."""
    recipe = record(job.data, work=False)
    if not output.exists(RECORDED) or output.read(RECORDED) != recipe:
        output.write(RECORDED, recipe)


def _counts(output: Store) -> tuple[float, str]:
    """How many samples of the source a dataset was made from, infinite if that is lost; how many it has."""
    funnel: Any = _mapping(output, STATS).get("funnel")
    try:
        return funnel[0]["rows_in"], f"{funnel[-1]['rows_out']:,}"
    except (IndexError, KeyError, TypeError):
        return math.inf, "?"


def _mapping(output: Store, name: str) -> dict[str, Any]:
    """A file of YAML or JSON; empty if it is missing or damaged."""
    try:
        data = (json.loads if name.endswith(".json") else yaml.safe_load)(output.read(name))
    except (FileNotFoundError, ValueError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}


def _source_digest(output: Store, recipe: dict[str, Any], job: Job) -> str | None:
    """As the run wrote it down. Earlier versions did not: of the source in the recorded recipe, None if that
    is none of the job's type."""
    if output.exists(SOURCE):
        return output.read(SOURCE).decode("ascii", "replace").strip()
    try:
        return type(job.source).model_validate(recipe.get("source")).digest()
    except ValidationError:
        return None

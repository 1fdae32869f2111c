"""The stages of a recorded recipe, which may be somebody else's: nothing that is not ours is imported."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gritmill.schemas.errors import UserError
from gritmill.stages.base import Stage
from gritmill.stages.registry import stage_class

_CLASS = re.compile(r"\s*[\w.]+:\w+\s*")


def stage_entry(entry: Any) -> tuple[str, str, dict[str, Any]]:
    """`{"ground": {"as": "again", "gpus": 1}}` -> `("again", "ground", {"gpus": 1})`."""
    [(kind, written)] = entry.items() if isinstance(entry, dict) else [(entry, {})]
    options = {name: value for name, value in (written or {}).items() if name != "as"}
    return str((written or {}).get("as", kind)), str(kind), options


def recorded_stage(kind: str, options: Mapping[str, Any]) -> Stage | None:
    """A stage of ours with its options. None for one that is not, or of another version of gritmill."""
    if _names_class(kind) or _names_class(options):
        return None
    try:
        return stage_class(kind, options).model_validate(options)
    except (UserError, ValidationError, ModuleNotFoundError):
        return None


def _names_class(value: Any) -> bool:
    """Whether one names a class by its module: `agreement: {"package.module:Class": {...}}`."""
    if isinstance(value, Mapping):
        return any(_names_class(name) or _names_class(item) for name, item in value.items())
    if isinstance(value, list):
        return any(map(_names_class, value))
    return isinstance(value, str) and _CLASS.fullmatch(value) is not None

"""Where the files of a run lie, and what its recipe says of them."""

from dataclasses import dataclass, field
from typing import Any

from gritmill.schemas.recipe import Output
from gritmill.schemas.training import Eval, Train


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """A run by what it leaves: dataset, results of its stages, model."""

    name: str
    output: Output
    data: dict[str, Any]
    """The recipe as plain data, overrides applied, no variable expanded: what is recorded."""
    work: str | None = None
    """The work folder that the recipe was recorded in, if it was."""
    train: Train | None = None
    """None if the recipe trains nothing."""
    eval: Eval = field(default_factory=Eval)

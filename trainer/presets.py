"""Hyper-parameters of published trainings (`presets.yaml`), and how they fill what a recipe leaves out."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train


class Preset(BaseModel):
    """A published training.

    >>> presets()["ferret"].train["learning_rate"], presets()["ferret"].global_batch
    (2e-05, 128)
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    """Where the figures stand."""
    differs: str | None = None
    """What it did that is not done here."""
    global_batch: int = Field(ge=1)
    """Samples in a step of the optimiser, over all devices."""
    train: dict[str, Any]
    """Options of `Train`."""


class Filled(NamedTuple):
    """Options with nothing left to be filled in."""

    options: Train
    global_batch: int
    """Samples in a step of the optimiser, over all devices."""
    note: str | None
    """Where the training is not what its preset says."""


@cache
def presets() -> dict[str, Preset]:
    """All presets by name."""
    text = Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8")
    return {name: Preset.model_validate(values) for name, values in yaml.safe_load(text).items()}


def fill(options: Train, devices: int = 1) -> Filled:
    """What the recipe says, else what its preset says, else the defaults.

    A preset's global batch is reached by `accumulate`, unless the recipe says that itself: the whole number
    that brings batch_size x accumulate x devices nearest to it. `UserError` for an unknown preset.

    `{preset: ferret, batch_size: 8}` on 4 devices has accumulate 4: 8 x 4 x 4 = 128.
    """
    if options.preset is None:
        return Filled(options, options.batch_size * options.accumulate * devices, None)
    if options.preset not in presets():
        raise UserError(f"there is no preset {options.preset!r}; choose one of {', '.join(presets())}")
    preset = presets()[options.preset]
    said = options.model_dump(include=options.model_fields_set)
    values = preset.train | said
    values["trainer"] = preset.train.get("trainer", {}) | options.trainer
    if "epochs" in said and "max_steps" not in said:
        values.pop("max_steps", None)  # it would go before the recipe's epochs
    if "accumulate" not in said:
        values["accumulate"] = max(1, round(preset.global_batch / (options.batch_size * devices)))
    filled = Train.model_validate(values)
    batch = filled.batch_size * filled.accumulate * devices
    note = None
    if batch != preset.global_batch:
        note = (
            f"{batch:,} samples a step (batch_size {filled.batch_size} x accumulate {filled.accumulate} x "
            f"{devices} devices), where preset {options.preset} has {preset.global_batch:,}"
        )
    return Filled(filled, batch, note)

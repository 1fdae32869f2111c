"""Stages among the options of another stage: a second grounder in `verify_boxes`, the members of an ensemble.

    agreement: NestedGrounder | None = None   # in a recipe: agreement: {grounder: onnx, model: x.onnx}
                                              # or: agreement: {"my_package.my_module:Mine": {batch_size: 8}}

The stage that has them runs them itself: it calls their `setup` and `process`, and holds the CPU cores and
GPUs that they run on.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from gritmill.schemas.errors import UserError
from gritmill.schemas.tables import load
from gritmill.schemas.weights import Weights
from gritmill.stages.base import Stage
from gritmill.stages.grounders.base import Ground
from gritmill.stages.registry import VARIANTS, stage_class, stage_options
from gritmill.stages.verification.similarity import RegionSimilarity


class Host(Stage):
    """A stage that runs others. Unless told otherwise it holds a GPU where one of them does."""

    batch_size: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _shares(self) -> "Host":
        inner = self.inner()
        for stage in inner:
            stage.cpus = self.cpus
        if "gpus" not in self.model_fields_set and inner:
            held = [stage.gpus for stage in inner]
            self.gpus = None if None in held else max(gpus for gpus in held if gpus is not None)
        return self

    def revision(self) -> dict[str, str]:
        return {
            f"{place}.{name}": version
            for place, stage in enumerate(self._own(), start=1)
            for name, version in stage.revision().items()
        }

    def needed_weights(self) -> list[Weights]:
        return [weights for stage in self._own() for weights in stage.needed_weights()]

    def setup(self) -> None:
        for stage in self._own():
            stage.setup()

    def _own(self) -> list[Stage]:
        """Those directly among its options; those within them are theirs to set up."""
        inner = self.inner()
        deeper = {id(stage) for one in inner for stage in one.inner()}
        return [stage for stage in inner if id(stage) not in deeper]


class ReadsWithin:
    """`reads` of a stage that hands its columns to others: of the class, those read in any case; of a
    stage, also those that the stages within it read."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def __get__(self, stage: Stage | None, owner: type) -> tuple[str, ...]:
        if stage is None:
            return self.columns
        inner = [column for one in stage.inner() for column in one.reads]
        return tuple(dict.fromkeys((*self.columns, *inner)))


def _built(options: Any, class_of: Callable[[Any], type[Stage]]) -> Any:
    if not isinstance(options, dict):
        return options
    if placed := sorted(Stage.run_options & options.keys()):
        raise ValueError(f"{', '.join(placed)}: say so of the whole stage, which runs it")
    try:
        cls = class_of(options)
        return cls.model_validate(stage_options(cls, "ground", options))
    except UserError as error:
        raise ValueError(str(error)) from error


def _dumped(stage: Stage) -> dict[str, Any]:
    return stage.model_dump(mode="json", exclude=set(stage.run_options))


def _grounder(options: Any) -> Any:
    name = _named_class(options)
    if name is None:
        return _built(options, lambda given: stage_class("ground", given))
    return _built(options[name] or {}, lambda given: load(name, Ground))


def _dumped_grounder(stage: Stage) -> dict[str, Any]:
    target, options = f"{type(stage).__module__}:{type(stage).__qualname__}", _dumped(stage)
    _, ours = VARIANTS["ground"]
    return options if target in ours.values() else {target: options}


def _named_class(options: Any) -> str | None:
    """`{"my_package.my_module:Mine": {...}}` -> what it names; None for options of a stage of ours."""
    if isinstance(options, dict) and len(options) == 1:
        [name] = options
        if isinstance(name, str) and ":" in name:
            return name
    return None


def _similarity(options: Any) -> Any:
    return _built(options, lambda given: RegionSimilarity)


NestedGrounder = Annotated[Ground, BeforeValidator(_grounder), PlainSerializer(_dumped_grounder)]
"""Any grounder: `{grounder: onnx, model: yolox_nano.onnx}`, as `ground` takes it, or one that is not ours,
`{"my_package.my_module:Mine": {score_threshold: 0.3}}`, as a recipe names such stages."""

NestedSimilarity = Annotated[RegionSimilarity, BeforeValidator(_similarity), PlainSerializer(_dumped)]
"""A model like CLIP: `{model: openai/clip-vit-base-patch32}`."""

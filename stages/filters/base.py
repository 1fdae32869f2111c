"""What all filters share: they measure, and drop what lies out of bounds.

class Sharpness(Filter):
    \"\"\"Image -> how sharp it is; drops what is blurred.

    a photograph -> 812.4    the same, blurred -> Reject("blurred", 12.1, 50.0)
    \"\"\"

    reads = ("image",)
    writes = {"sharpness": float}
    bounds = (AtLeast("sharpness", "min_sharpness", "blurred"),)

    min_sharpness: float | None = 50.0
    \"\"\"Variance of the Laplacian that an image must have; null for any.\"\"\"

    def measure(self, batch: Columns) -> Columns:
        return {"sharpness": [variance_of_laplacian(image) for image in batch["image"]]}
"""

from typing import Any, ClassVar, Literal, NamedTuple

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.base import Stage


class AtLeast(NamedTuple):
    """A row is dropped for `reason` where `column` lies below the option; an option of null drops none."""

    column: str
    option: str
    reason: str

    def holds(self, value: Any, threshold: Any) -> bool:
        return bool(value >= threshold)


class AtMost(NamedTuple):
    """A row is dropped for `reason` where `column` lies above the option; an option of null drops none."""

    column: str
    option: str
    reason: str

    def holds(self, value: Any, threshold: Any) -> bool:
        return bool(value <= threshold)


class OneOf(NamedTuple):
    """A row is dropped for `reason` where `column` is not in the option's list; null drops none."""

    column: str
    option: str
    reason: str

    def holds(self, value: Any, threshold: Any) -> bool:
        return value in threshold


Bound = AtLeast | AtMost | OneOf


class Filter(Stage):
    """Measures each row and drops what lies out of bounds, with the measurement as the reason."""

    bounds: ClassVar[tuple[Bound, ...]] = ()
    """What a row must keep to, in the order in which it is looked at."""

    mode: Literal["drop", "measure"] = "drop"
    """`measure` writes the measurements and drops nothing: choose thresholds after looking at them."""

    def measure(self, batch: Columns) -> Columns:
        """The columns of `reads` -> those of `writes`. A `Reject` in a row drops it in any mode: there
        was nothing to measure. A None was not measured, and holds every bound."""
        raise NotImplementedError

    def process(self, batch: Columns) -> Columns:
        measured = self.measure(batch)
        if self.mode == "measure":
            return measured
        for bound in self.bounds:
            threshold = getattr(self, bound.option)
            if threshold is not None:
                values = measured[bound.column]
                measured[bound.column] = [self._judged(value, bound, threshold) for value in values]
        return measured

    def _judged(self, value: Any, bound: Bound, threshold: Any) -> Any:
        if value is None or isinstance(value, Reject) or bound.holds(value, threshold):
            return value
        shown = round(value, 4) if isinstance(value, float) else value
        # What lies out of bounds by less than that must not read as if it lay within.
        return Reject(bound.reason, value if shown == threshold else shown, threshold)

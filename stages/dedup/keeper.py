"""Which member of a cluster of duplicates stays."""

import math
from typing import Any

from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError

LARGEST = "largest"
LOWEST_KEY = "lowest_key"
_READS = {LARGEST: ("width", "height"), LOWEST_KEY: ()}


class ReadsForKeeper:
    """`reads` of a stage whose option `keep` may name a column: of the class, those read in any case;
    of a stage, also those that its rule goes by."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def __get__(self, stage: Any, owner: type) -> tuple[str, ...]:
        if stage is None:
            return self.columns
        further = _READS.get(stage.keep, (stage.keep,))
        return tuple(dict.fromkeys((*self.columns, *further)))


def ranks(part: Columns, keep: str) -> list[float]:
    """How much speaks for each row; the highest of a cluster stays, of equal ones the lowest key.

    Nothing speaks for a row without a number. Raises `UserError` for a column of something else.

    >>> ranks({"width": [640, 320], "height": [480, 240]}, "largest")
    [307200.0, 76800.0]
    """
    if keep == LOWEST_KEY:
        return [0.0] * len(part["key"])
    if keep == LARGEST:
        return [float(width * height) for width, height in zip(part["width"], part["height"], strict=True)]
    try:
        numbers = [-math.inf if value is None else float(value) for value in part[keep]]
    except (TypeError, ValueError) as error:
        raise UserError(f"keep names the column {keep}, whose values are no numbers: {error}") from error
    return [-math.inf if math.isnan(number) else number for number in numbers]

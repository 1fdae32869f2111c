"""What all grounders share: they turn the noun chunks of a caption into candidate boxes."""

from typing import ClassVar

from pydantic import Field

from gritmill.schemas.columns import GroundedBox
from gritmill.stages.base import Stage


class Ground(Stage):
    """Noun chunks -> candidate boxes, each with its raw score; `select_boxes` chooses among them.

    "a dog", "a field" -> [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "model@rev", "a dog")]
    """

    reads: ClassVar[tuple[str, ...]] = ("caption", "noun_chunks")
    writes = {"candidates": list[GroundedBox]}

    grounder: str
    """Where the boxes come from."""
    score_threshold: float = Field(default=0.05, ge=0, le=1)
    """Raw scores below this are not kept at all. Low on purpose: another threshold in `select_boxes`
    then never needs detection again."""

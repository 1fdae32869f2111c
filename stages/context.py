"""What a language model is shown of an image: its captions and, if wanted, boxes, as text."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field

from gritmill.schemas.columns import Annotation, Columns, GroundedBox, Reject
from gritmill.schemas.replies import ToldRegion
from gritmill.stages.base import Stage
from gritmill.stages.replies import contexts


class Context(Stage):
    """Captions -> the text that a language model is shown of the image.

    ["A dog in a field.", "A dog runs."] -> "A dog in a field.\\nA dog runs."

    One caption a line. Line breaks, chat tags and the separators of few-shot prompts are taken out of
    captions and labels, so that none can leave its place in the prompt.
    """

    reads: ClassVar[tuple[str, ...]] = ("captions",)
    writes = {"context": str, "context_regions": list[ToldRegion]}

    batch_size: int = Field(default=4096, ge=1)
    boxes: str = "none"
    """Where boxes come from."""
    min_captions: int = Field(default=1, ge=0)
    """Fewest captions; 0 suits models that see the image itself."""
    max_captions: int | None = Field(default=None, ge=1)
    """Most captions, in their order; null for all."""

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in self.reads), strict=True)
        made = [self._row(*row) for row in rows]
        return {"context": [text for text, _ in made], "context_regions": [regions for _, regions in made]}

    def regions(self, boxes: Any) -> list[ToldRegion]:
        """What the source of boxes gives, as labels and boxes."""
        return []

    def _row(self, captions: list[str], boxes: Any = ()) -> tuple[str | Reject, list[ToldRegion]]:
        usable = [caption for caption in captions if contexts.defused(caption)]
        if len(usable) < self.min_captions:
            return Reject("too_few_captions", len(usable), self.min_captions), []
        regions = self.regions(boxes)
        return contexts.write(usable[: self.max_captions], regions), regions


class CaptionContext(Context):
    """Captions -> the text that a language model is shown of the image.

    ["A dog in a field.", "A dog runs."] -> "A dog in a field.\\nA dog runs."

    One caption a line. Line breaks, chat tags and the separators of few-shot prompts are taken out of
    captions, so that none can leave its place in the prompt.
    """

    boxes: Literal["none"] = "none"
    """Where boxes come from: nowhere."""


class BoxContext(Context):
    """Captions and boxes -> text; what the kinds of boxes share."""

    max_boxes: int | None = Field(default=40, ge=1)
    """Most boxes; null for all. Our choice."""
    order: Literal["largest", "given"] = "largest"
    """Which boxes come first and are kept: the largest, or those that the source names first."""

    def _listed(self, regions: Iterable[ToldRegion]) -> list[ToldRegion]:
        clipped = (ToldRegion(r.label, r.box.clipped()) for r in regions if all(map(math.isfinite, r.box)))
        usable = list(dict.fromkeys(r for r in clipped if r.box.is_valid and r.label))
        if self.order == "largest":
            usable.sort(key=lambda region: (-region.box.area, region))
        return usable[: self.max_boxes]


class AnnotationContext(BoxContext):
    """Captions and the source's boxes -> the text that a language model is shown of the image.

    ["A dog runs."], dog [.1 .2 .5 .9] -> "A dog runs.\\n\\ndog: [0.100, 0.200, 0.500, 0.900]"

    One caption a line, an empty line, then a box a line in 0..1 of the image. A box around a crowd is
    written as "person (group)".
    """

    reads = ("captions", "annotations")

    boxes: Literal["annotations"] = "annotations"
    """Where boxes come from: those that the source came with."""

    def regions(self, boxes: list[Annotation]) -> list[ToldRegion]:
        return self._listed(
            ToldRegion(contexts.defused(label) + (" (group)" if crowd else ""), box)
            for label, box, crowd, _ in boxes
        )


class GroundedContext(BoxContext):
    """Captions and grounded boxes -> the text that a language model is shown of the image.

    ["A dog runs."], "A dog" [.1 .2 .5 .9] -> "A dog runs.\\n\\nA dog: [0.100, 0.200, 0.500, 0.900]"

    One caption a line, an empty line, then a box a line in 0..1 of the image, by the phrase that it was
    found for.
    """

    reads = ("captions", "boxes")

    boxes: Literal["grounded"] = "grounded"
    """Where boxes come from: a grounder and `select_boxes`."""

    def regions(self, boxes: list[GroundedBox]) -> list[ToldRegion]:
        return self._listed(ToldRegion(contexts.defused(found.phrase), found.box) for found in boxes)

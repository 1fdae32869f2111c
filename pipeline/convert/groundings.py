"""The boxes of a caption as a reader finds them: what is none is counted as lost, with the reason."""

import math
from collections.abc import Mapping, Sequence

from gritmill.pipeline.convert.reading import is_number, lists, numbers
from gritmill.pipeline.convert.sample import HUMAN, Losses
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Annotation, GroundedBox, Span
from gritmill.schemas.masks import Mask
from gritmill.schemas.records import Region

_FAR = 1e6
"""Coordinates beyond it, where the image is 1, are no coordinates."""


class Groundings:
    """Gathers boxes with their spans, clipped to the image.

    found = Groundings("a dog in a field", key, losses)
    found.add(Span(0, 5), Span(0, 16), Box(0.1, 0.2, 0.5, 0.9), score=0.83)
    found.boxes, found.expressions
    """

    def __init__(self, caption: str, key: str, losses: Losses) -> None:
        self.boxes: list[GroundedBox] = []
        self.expressions: list[Span] = []
        """Parallel to `boxes`."""
        self.labels: list[Annotation] = []
        """Boxes whose label is no part of the caption."""
        self._masks: list[Mask] = []
        self._caption = caption
        self._key = key
        self._losses = losses

    def add(
        self,
        chunk: Span | None,
        expression: Span | None,
        box: Box | None,
        score: object = 1.0,
        model: object = HUMAN,
        phrase: object = None,
        mask: object = None,
    ) -> None:
        """A box of a noun chunk; the expression is the chunk if there is none, the phrase its words.

        `mask` is an entry of a record's `masks`.
        """
        try:
            if chunk is None:
                raise ValueError("a box without a span")
            for span in (chunk, expression or chunk):
                if not 0 <= span.start < span.end <= len(self._caption):
                    raise ValueError("a span outside the caption")
            if not is_number(score):
                raise ValueError("a score that is no number")
            clipped = usable(box)
        except ValueError as error:
            self._losses.part(self._key, str(error))
            return
        told = model if isinstance(model, str) and model else HUMAN
        asked = phrase if isinstance(phrase, str) and phrase else chunk.of(self._caption)
        self.boxes.append(GroundedBox(chunk, clipped, float(score), told, asked))
        self.expressions.append(expression or chunk)
        try:
            self._masks += [] if mask is None else [Mask.from_item(mask)]
        except ValueError:
            self._losses.part(self._key, "a mask that is none")

    def masks(self) -> list[Mask] | None:
        """Parallel to `boxes`; None, and those that are there are lost, unless every box has one."""
        if self.boxes and len(self._masks) == len(self.boxes):
            return self._masks
        for _ in self._masks:
            self._losses.part(self._key, "a mask, because not all boxes have one")
        return None

    def add_items(self, chunks: object, expressions: object, boxes: object, masks: object) -> None:
        """GRIT's `noun_chunks` and `ref_exps`, and our `boxes` and `masks`."""
        items = chunks if isinstance(chunks, list) else []
        longer = expressions if isinstance(expressions, list) and expressions else items
        said, drawn = (
            each if isinstance(each, list) and len(each) == len(items) else [None] * len(items)
            for each in (boxes, masks)
        )
        if len(longer) != len(items):
            self._losses.part(self._key, "ref_exps that are not parallel to noun_chunks")
            longer = items
        for item, expression, told, mask in zip(items, longer, said, drawn, strict=True):
            try:
                region, other = Region.from_item(item), Region.from_item(expression)
            except ValueError as error:
                self._losses.part(self._key, str(error))
                continue
            about = told if isinstance(told, Mapping) else {}
            model, phrase = about.get("model"), about.get("phrase")
            if about.get("checks"):
                self._losses.part(self._key, "which checks a box passed")
            self.add(region.span, other.span, region.box, region.score, model, phrase, mask)

    def add_label(
        self, label: object, box: Box | object, crowd: object = False, outlines: object = None
    ) -> None:
        """A box of a label. Outlines that are none are left out of it."""
        try:
            if not isinstance(label, str):
                raise ValueError("a label that is no text")
            corners = numbers(box, 4)
            clipped = usable(Box(*corners) if corners else None)
        except ValueError as error:
            self._losses.part(self._key, str(error))
            return
        polygons = [found for points in lists(outlines) if (found := numbers(points, len(points)))]
        self.labels.append(Annotation(label, clipped, bool(crowd), polygons))


def usable(box: Sequence[float] | None) -> Box:
    """The part of a box that lies in the image; itself where all does. Raises `ValueError` if none does."""
    if box is None or not all(math.isfinite(v) and abs(v) < _FAR for v in box):
        raise ValueError("a box that is no numbers")
    found = Box(*box)
    if found.is_valid:
        return found
    if not found.clipped().is_valid:
        raise ValueError("a box outside the image or without area")
    return found.clipped()

"""Boxes that the source came with, matched to the noun chunks of the caption by their words."""

from typing import Literal

from gritmill.schemas.columns import Annotation, Columns, GroundedBox, Parse, Span
from gritmill.stages.grounders.common.labelled import LabelGrounder, LabelledBox, matches


class AnnotationGrounder(LabelGrounder):
    """Noun chunks -> the boxes of the annotations whose label their head noun means.

    "two guys" -> [GroundedBox(Span(0, 8), Box(.1, .2, .5, .9), 1.0, "annotations", "two guys"), ...]

    The score is 1.0 for a word for the label (by inflection, spelling or `prompts/label_synonyms.txt`)
    and 0.5 for a broader one ("animal" for a dog); the usual threshold of 0.65 leaves the latter out.
    How chunks and labels are matched is `LabelGrounder`'s to say.
    """

    reads = ("caption", "noun_chunks", "parse", "annotations")

    grounder: Literal["annotations"] = "annotations"
    """Where the boxes come from."""

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in self.reads), strict=True)
        return {"candidates": [self._ground(*row) for row in rows]}

    def _ground(
        self, caption: str, chunks: list[Span], parse: Parse, annotations: list[Annotation]
    ) -> list[GroundedBox]:
        boxes = from_annotations(annotations)
        return [
            GroundedBox(match.span, labelled.box, match.weight, "annotations", match.span.of(caption))
            for match in matches(caption, chunks, parse, boxes, self.ambiguous)
            if match.weight >= self.score_threshold
            for labelled in match.boxes
        ]


def from_annotations(annotations: list[Annotation]) -> list[LabelledBox]:
    """What people drew, who were sure."""
    return [LabelledBox(a.label, a.box, a.crowd, 1.0) for a in annotations]

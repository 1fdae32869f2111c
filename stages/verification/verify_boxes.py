"""Checks the chosen boxes of a sample by other means than those that found them."""

from typing import Any, ClassVar, get_args

from pydantic import Field, model_validator

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import BoxCheck, Check, Columns, DroppedBox, GroundedBox, Reject, Span
from gritmill.stages.common.nested import Host, NestedGrounder, NestedSimilarity, ReadsWithin
from gritmill.stages.grounders.base import Ground
from gritmill.stages.verification.hits import hits


class VerifyBoxes(Host):
    """Boxes -> those that pass the checks asked for, with what each check measured.

    "a dog" 0.83, which the second grounder sees elsewhere -> DroppedBox(..., "agreement", 0.31, 0.5)

    Every check is off until it is given its option, and every box goes through all that are on, whatever the
    others said. `drops` says which of them cost a box its place; a sample that has none left is dropped.
    Records say of every box which checks it passed. Goes after `referring_expressions` and before `segment`.
    """

    reads: ClassVar = ReadsWithin("caption", "boxes", "ref_exps")
    writes = {
        "boxes": list[GroundedBox],
        "ref_exps": list[Span],
        "box_checks": list[list[BoxCheck]],
        "dropped_boxes": list[DroppedBox],
    }
    aligned_with = {"ref_exps": "boxes", "box_checks": "boxes"}

    min_area: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of the image that a box may cover: 0.001 is one cell of Kosmos-2's 32 x 32 grid."""
    max_area: float | None = Field(default=None, ge=0, le=1)
    """Largest share. Detectors that are at a loss draw the whole image: 0.95 finds such boxes."""
    min_margin: float | None = Field(default=None, ge=0, le=0.5)
    """How near a side may come to the image's edge, as a share of its width or height. What the edge cuts is
    seen in part only: 0.002 finds it."""
    agreement: NestedGrounder | None = None
    """Another grounder, which is asked for the noun chunks of the caption and must see the same."""
    regrounding: NestedGrounder | None = None
    """A grounder that is asked for the referring expression of the box and must find the box. The check of
    Pink (arXiv 2310.00582), which asks the model that is being trained."""
    min_iou: float = Field(default=0.5, gt=0, le=1)
    """Least IoU with one of the grounder's answers, for agreement and regrounding: its best as many as
    the phrase has boxes. Pink's."""
    similarity: NestedSimilarity | None = None
    """A model like CLIP, which must find the expression in the box rather than in the whole image: 2 * local
    - global, with a red ellipse for local. The filter of InstructDET (arXiv 2310.05136)."""
    min_similarity: float | None = Field(default=None, ge=-3, le=3)
    """Least of it, in cosines. Depends on the model: measure with `drops: []` first."""
    drops: list[Check] | None = None
    """Checks that cost a box its place; null for all that are on, [] to measure and drop nothing."""

    @model_validator(mode="after")
    def _checks_something(self) -> "VerifyBoxes":
        if (self.similarity is None) != (self.min_similarity is None):
            raise ValueError("similarity and min_similarity go together; give both")
        if not self._thresholds():
            raise ValueError(f"there is nothing to check; give one of {', '.join(get_args(Check))}")
        if idle := [name for name in self.drops or () if name not in self._thresholds()]:
            raise ValueError(f"drops names {idle[0]}, which is not checked; give that option, too")
        return self

    def process(self, batch: Columns) -> Columns:
        thresholds = self._thresholds()
        measured = {name: self._measured(name, batch) for name in thresholds}
        out: Columns = {name: [] for name in self.writes}
        for row, (boxes, ref_exps) in enumerate(zip(batch["boxes"], batch["ref_exps"], strict=True)):
            checks = [
                [_judged(name, measured[name][row][i], limit) for name, limit in thresholds.items()]
                for i in range(len(boxes))
            ]
            for name, value in self._kept(boxes, ref_exps, checks).items():
                out[name].append(value)
        return out

    def _thresholds(self) -> dict[Check, float]:
        """The checks that are on."""
        given: dict[Check, float | None] = {
            "min_area": self.min_area,
            "max_area": self.max_area,
            "min_margin": self.min_margin,
            "agreement": self.min_iou if self.agreement else None,
            "regrounding": self.min_iou if self.regrounding else None,
            "similarity": self.min_similarity if self.similarity else None,
        }
        return {name: limit for name, limit in given.items() if limit is not None}

    def _measured(self, name: Check, batch: Columns) -> list[list[float]]:
        """A number for every box of every row."""
        if name == "agreement":
            assert self.agreement
            return _hits(self.agreement, batch, [[b.span for b in boxes] for boxes in batch["boxes"]])
        if name == "regrounding":
            assert self.regrounding
            asked = batch | {"noun_chunks": [sorted(set(spans)) for spans in batch["ref_exps"]]}
            return _hits(self.regrounding, asked, batch["ref_exps"])
        if name == "similarity":
            assert self.similarity
            given = {column: batch[column] for column in self.similarity.reads}
            found: list[list[float]] = self.similarity.process(given)["similarities"]
            return found
        measure = _margin if name == "min_margin" else _area
        return [[measure(b.box) for b in boxes] for boxes in batch["boxes"]]

    def _kept(
        self, boxes: list[GroundedBox], ref_exps: list[Span], checks: list[list[BoxCheck]]
    ) -> dict[str, Any]:
        faults = [next(filter(self._costs_the_box, of_box), None) for of_box in checks]
        kept = [i for i, fault in enumerate(faults) if fault is None]
        dropped = [
            DroppedBox(box, fault.check, fault.value, fault.threshold)
            for box, fault in zip(boxes, faults, strict=True)
            if fault is not None
        ]
        best = max(dropped, key=lambda lost: lost.box.score, default=None)
        return {
            "boxes": [boxes[i] for i in kept] if kept or not best else _none_left(best),
            "ref_exps": [ref_exps[i] for i in kept],
            "box_checks": [checks[i] for i in kept],
            "dropped_boxes": dropped,
        }

    def _costs_the_box(self, check: BoxCheck) -> bool:
        return not check.passed and (self.drops is None or check.check in self.drops)


def _none_left(best: DroppedBox) -> Reject:
    return Reject("no_verified_box", f"{best.reason} {best.value}", best.threshold)


def _judged(name: Check, value: float, threshold: float) -> BoxCheck:
    value = round(float(value), 4)
    passed = value <= threshold if name == "max_area" else value >= threshold
    return BoxCheck(name, passed, value, threshold)


def _area(box: Box) -> float:
    return box.area


def _margin(box: Box) -> float:
    return min(box.x1, box.y1, 1 - box.x2, 1 - box.y2)


def _hits(grounder: Ground, batch: Columns, spans: list[list[Span]]) -> list[list[float]]:
    found = grounder.process({name: batch[name] for name in grounder.reads})["candidates"]
    return [
        hits([(span, b.box) for span, b in zip(asked, boxes, strict=True)], _answers(candidates))
        for asked, boxes, candidates in zip(spans, batch["boxes"], found, strict=True)
    ]


def _answers(candidates: list[GroundedBox] | Reject) -> list[GroundedBox]:
    # A grounder that rejects the sample has none.
    return [] if isinstance(candidates, Reject) else candidates

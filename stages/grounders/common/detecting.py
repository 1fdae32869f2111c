"""What grounders share that ask a detector for phrases: prompts out, batches of images in, boxes back."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, PrivateAttr

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Span
from gritmill.schemas.images import Image, decode
from gritmill.stages.common.local_models import Halving, ahead
from gritmill.stages.grounders.base import Ground
from gritmill.stages.grounders.common.detector import Detections, Detector, DetectorInput


class DetectorGrounder(Ground):
    """Noun chunks -> candidate boxes, by a detector that is asked for phrases.

    A box is a candidate for every phrase that it scores at `score_threshold` or more; which gets it is
    for `select_boxes` to say. A phrase that occurs twice is asked once and its boxes are candidates
    for both. Phrases too long for the model lose leading words, and `phrase` of the box says what
    was left; a caption with more phrases than a prompt holds is asked in several. What the model cannot
    read at all, such as emoji, has no candidates.

    Images that differ little in shape are padded together into one pass of the model; what an image is
    padded to depends on the image alone, so that its boxes do not depend on its neighbours.

    A subclass says which detector: `_load`.
    """

    reads = ("caption", "noun_chunks", "image")
    run_options: ClassVar[frozenset[str]] = Ground.run_options | {"images_at_once"}

    batch_size: int = Field(default=32, ge=1)
    gpus: float | None = Field(default=None, ge=0)

    max_boxes_per_phrase: int = Field(default=50, ge=1)
    """Most candidates for a phrase, best first."""
    images_at_once: int = Field(default=8, ge=1)
    """Most images in one pass of the model; halved where the GPU's memory does not suffice."""

    _detector: Detector = PrivateAttr()
    _label: str = PrivateAttr()
    _answered: Halving = PrivateAttr()

    def setup(self) -> None:
        import torch

        # No more threads than cores held: torch takes all of the machine's, and workers that share
        # cores then wait for each other, ten times slower.
        torch.set_num_threads(self._threads)
        self._detector, self._label = self._load()
        self._answered = Halving(self.images_at_once)

    def _load(self) -> tuple[Detector, str]:
        """The detector, and what boxes are to say that they are from."""
        raise NotImplementedError

    def process(self, batch: Columns) -> Columns:
        columns = zip(batch["image"], batch["caption"], batch["noun_chunks"], strict=True)
        rows = [self._row(image, caption, spans) for image, caption, spans in columns]
        for view, question, answer in self._answers([row for row in rows if row.prompts]):
            for phrase, scores in zip(question.phrases, answer.scores.T, strict=True):
                view.row.found[phrase] = self._best(scores, answer.centers, view.stretch)
        return {"candidates": [self._candidates(row) for row in rows]}

    @property
    def _threads(self) -> int:
        return max(1, int(self.cpus))

    def _row(self, image: Image, caption: str, spans: list[Span]) -> "_Row":
        asked = [self._detector.asked(span.of(caption)) for span in spans]
        prompts = self._detector.prompts(list(dict.fromkeys(filter(None, asked))))
        return _Row(image, spans, asked, prompts, {})

    def _look(self, row: "_Row") -> "_View":
        picture = decode(row.image.read())
        pixels = self._detector.pixels(picture)
        return _View(row, pixels, picture.size, self._detector.stretch(*picture.size))

    def _answers(self, rows: list["_Row"]) -> "Iterator[tuple[_View, DetectorInput, Detections]]":
        """Every prompt of every row with its answer; images are made ready while the model works."""
        waiting: dict[Hashable, list[tuple[_View, DetectorInput]]] = defaultdict(list)
        for view in ahead(self._look, rows, self._threads, depth=2 * self.images_at_once):
            for prompt in view.row.prompts:
                question = DetectorInput(view.pixels, prompt, view.size)
                alike = waiting[self._detector.kind(question)]
                alike.append((view, question))
                if len(alike) == self.images_at_once:
                    yield from self._together(alike)
                    alike.clear()
        for alike in waiting.values():
            yield from self._together(alike)

    def _together(
        self, alike: "list[tuple[_View, DetectorInput]]"
    ) -> "Iterator[tuple[_View, DetectorInput, Detections]]":
        answers = self._answered(self._detector.answer, [question for _, question in alike])
        return ((*pair, answer) for pair, answer in zip(alike, answers, strict=True))

    def _best(self, scores: Any, centers: Any, stretch: tuple[float, float]) -> list[tuple[Box, float]]:
        """[queries], [queries, 4] -> boxes of the image with their scores, best first."""
        if scores.isnan().any() or centers.isnan().any():
            raise ValueError(f"{self._label} gave NaN")
        order = scores.argsort(descending=True, stable=True)[: self.max_boxes_per_phrase]
        best = [
            (_rounded(Box.from_center(*center).scaled(*stretch).clipped()), round(score, 6))
            for center, score in zip(centers[order].tolist(), scores[order].tolist())
            if score >= self.score_threshold
        ]
        return [(box, score) for box, score in best if box.is_valid]

    def _candidates(self, row: "_Row") -> list[GroundedBox]:
        return [
            GroundedBox(span, box, score, self._label, phrase)
            for span, phrase in zip(row.spans, row.asked)
            for box, score in row.found.get(phrase, [])
        ]


class _Row(NamedTuple):
    image: Image
    spans: list[Span]
    asked: list[str]
    """The phrase of each span, empty where there is nothing to ask for."""
    prompts: list[list[str]]
    found: dict[str, list[tuple[Box, float]]]


class _View(NamedTuple):
    """A row's image as the model sees it."""

    row: _Row
    pixels: Any
    size: tuple[int, int]
    """(width, height) of the image itself."""
    stretch: tuple[float, float]


def _rounded(box: Box) -> Box:
    # float32 holds no more digits than these; further ones are noise that differs between batches.
    return Box(*(round(v, 6) for v in box))

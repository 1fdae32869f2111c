"""Boxes from a zero-shot detection model of the transformers library."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PrivateAttr

from schemas import checkpoints
from schemas.boxes import Box
from schemas.columns import Columns, GroundedBox, Span
from schemas.errors import UserError
from schemas.images import Image, decode
from stages.grounders.base import Ground
from stages.grounders.detector import Answer, Detector, Question
from stages.grounders.token_span import TokenSpanDetector
from stages.grounders.zero_shot import check_architecture, load
from stages.local_models import (
    Device,
    Halving,
    Precision,
    ahead,
    chosen_device,
    chosen_precision,
    versions,
)


class TransformersGrounder(Ground):
    """Noun chunks -> candidate boxes, by a zero-shot detector of the transformers library.

    "a dog in a field" asked as "a dog. a field." ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "grounding-dino-tiny@a2bb81...", "a dog"), ...]

    By Grounding DINO, MM-Grounding-DINO, LLMDet, OMDet-Turbo, OWL-ViT or OWLv2. A box is a candidate for
    every phrase that it scores `floor` or more for; which phrase gets it is for `select_boxes` to say. A
    phrase that occurs twice is asked once and its boxes are candidates for both. Phrases too long for the
    model lose leading words, and `phrase` of the box says what was left; a caption with more phrases than
    a prompt holds is asked in several. What the model cannot read at all, such as emoji, has no candidates.

    Images that differ little in shape are padded together, with a mask, into one pass of the model; what
    an image is padded to depends on the image alone, so that its boxes do not depend on its neighbours.
    """

    reads = ("caption", "noun_chunks", "image")
    packages = {"scipy": "grounders", "torch": "grounders", "transformers": "grounders"}
    inert: ClassVar[frozenset[str]] = Ground.inert | {"images_at_once"}

    batch_size: int = Field(default=32, ge=1)
    gpus: float | None = Field(default=None, ge=0)

    grounder: Literal["transformers"] = "transformers"
    """Where the boxes come from."""
    model: str = "IDEA-Research/grounding-dino-tiny"
    """Hub id or folder of a zero-shot detection model."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts. Give a
    commit where a recipe is to give the same boxes next year."""
    aggregation: Literal["max", "mean"] = "max"
    """How the scores of a phrase's tokens make up its score: the highest, as in Grounding DINO, or
    their mean, as in GLIP. OWL and OMDet score whole phrases, so there it changes nothing."""
    max_boxes_per_phrase: int = Field(default=50, ge=1)
    """Most candidates for a phrase, best first."""
    images_at_once: int = Field(default=8, ge=1)
    """Most images in one pass of the model; halved where the GPU's memory does not suffice."""
    device: Device = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""
    precision: Precision = "auto"
    """What the model multiplies in; auto is bfloat16 on a GPU (float16 where it lacks that), else float32."""

    _detector: Detector = PrivateAttr()
    _label: str = PrivateAttr()
    _answered: Halving = PrivateAttr()

    def problems(self) -> list[str]:
        try:
            check_architecture(checkpoints.find(self.model, self.model_revision))
        except UserError as error:
            return [str(error)]
        except ModuleNotFoundError:  # `packages` says so
            return []
        return []

    def revision(self) -> dict[str, str]:
        try:
            model = checkpoints.find(self.model, self.model_revision).revision
        except (UserError, ModuleNotFoundError):  # `problems` or `packages` says so
            model = ""
        return {"model": model, **versions()}

    def setup(self) -> None:
        import torch

        # No more threads than cores held: torch takes all of the machine's, and workers that share
        # cores then wait for each other, ten times slower.
        torch.set_num_threads(self._threads)
        device = chosen_device(self.device)
        precision = chosen_precision(self.precision, device)
        checkpoint = checkpoints.find(self.model, self.model_revision)
        self._label = checkpoint.label
        self._detector = load(checkpoint, device, precision)
        if isinstance(self._detector, TokenSpanDetector):
            self._detector.aggregation = self.aggregation
        self._answered = Halving(self.images_at_once)

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
        return _View(row, self._detector.pixels(picture), self._detector.stretch(*picture.size))

    def _answers(self, rows: list["_Row"]) -> "Iterator[tuple[_View, Question, Answer]]":
        """Every prompt of every row with its answer; images are made ready while the model works."""
        waiting: dict[Hashable, list[tuple[_View, Question]]] = defaultdict(list)
        for view in ahead(self._look, rows, self._threads, depth=2 * self.images_at_once):
            for prompt in view.row.prompts:
                question = Question(view.pixels, prompt)
                alike = waiting[self._detector.kind(question)]
                alike.append((view, question))
                if len(alike) == self.images_at_once:
                    yield from self._together(alike)
                    alike.clear()
        for alike in waiting.values():
            yield from self._together(alike)

    def _together(self, alike: "list[tuple[_View, Question]]") -> "Iterator[tuple[_View, Question, Answer]]":
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
            if score >= self.floor
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
    stretch: tuple[float, float]


def _rounded(box: Box) -> Box:
    # float32 holds no more digits than these; further ones are noise that differs between batches.
    return Box(*(round(v, 6) for v in box))

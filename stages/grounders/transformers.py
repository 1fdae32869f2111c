"""Boxes from a zero-shot detection model of the transformers library."""

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field, PrivateAttr

from schemas import checkpoints
from schemas.boxes import Box
from schemas.columns import Columns, GroundedBox, Span
from schemas.errors import UserError
from schemas.images import Image, decode
from stages.grounders.base import Ground
from stages.grounders.zero_shot import Answer, Detector, TokenSpanDetector, check_architecture, load

LIBRARIES = ("pillow", "tokenizers", "torch", "transformers")


class TransformersGrounder(Ground):
    """Noun chunks -> candidate boxes, by Grounding DINO, MM-Grounding-DINO, LLMDet, OWL-ViT or OWLv2.

    "a dog in a field" asked as "a dog. a field." ->
    [GroundedBox(Span(0, 5), Box(.1, .2, .5, .9), 0.83, "grounding-dino-tiny@a2bb81...", "a dog"), ...]

    A box is a candidate for every phrase that it scores `floor` or more for; which phrase gets it is
    for `select_boxes` to say. A phrase that occurs twice is asked once and its boxes are candidates
    for both. Phrases too long for the model lose leading words, and `phrase` of the box says what
    was left. What the model cannot read at all, such as emoji, has no candidates.
    """

    reads = ("caption", "noun_chunks", "image")
    packages = {"scipy": "grounders", "torch": "grounders", "transformers": "grounders"}

    batch_size: int = Field(default=8, ge=1)
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
    their mean, as in GLIP. OWL models score whole phrases, so there it changes nothing."""
    max_boxes_per_phrase: int = Field(default=50, ge=1)
    """Most candidates for a phrase, best first."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto takes the GPU if the worker has one."""

    _detector: Detector = PrivateAttr()
    _label: str = PrivateAttr()

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
        return {"model": model, **{name: _version(name) for name in LIBRARIES}}

    def setup(self) -> None:
        import torch

        # No more threads than cores held: torch takes all of the machine's, and workers that share
        # cores then wait for each other, ten times slower.
        torch.set_num_threads(max(1, int(self.cpus)))
        checkpoint = checkpoints.find(self.model, self.model_revision)
        self._label = checkpoint.label
        self._detector = load(checkpoint, _device(self.device))
        if isinstance(self._detector, TokenSpanDetector):
            self._detector.aggregation = self.aggregation

    def process(self, batch: Columns) -> Columns:
        rows = [
            self._look(image, caption, spans)
            for image, caption, spans in zip(batch["image"], batch["caption"], batch["noun_chunks"])
        ]
        for row, prompt, answer in self._answers(rows):
            for phrase, scores in zip(prompt, answer.scores.T):
                row.found[phrase] = self._best(scores, answer.centers, row.stretch)
        return {"candidates": [self._candidates(row) for row in rows]}

    def _look(self, image: Image, caption: str, spans: list[Span]) -> "_Row":
        asked = [self._detector.asked(span.of(caption)) for span in spans]
        prompts = self._detector.prompts(list(dict.fromkeys(filter(None, asked))))
        if not prompts:
            return _Row(spans, asked, [], None, (1.0, 1.0), {})
        picture = decode(image.read())
        stretch = self._detector.stretch(*picture.size)
        return _Row(spans, asked, prompts, self._detector.pixels(picture), stretch, {})

    def _answers(self, rows: list["_Row"]) -> Iterator[tuple["_Row", list[str], Answer]]:
        """Every prompt of every row with its answer, images of one canvas together."""
        by_canvas: dict[tuple[int, int], list[tuple[_Row, list[str]]]] = defaultdict(list)
        for row in rows:
            for prompt in row.prompts:
                by_canvas[self._detector.canvas(row.pixels)].append((row, prompt))
        for pairs in by_canvas.values():
            for i in range(0, len(pairs), self.batch_size):
                some = pairs[i : i + self.batch_size]
                answers = self._detector.answer([row.pixels for row, _ in some], [p for _, p in some])
                for (row, prompt), answer in zip(some, answers):
                    yield row, prompt, answer

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
    spans: list[Span]
    asked: list[str]
    prompts: list[list[str]]
    pixels: Any
    stretch: tuple[float, float]
    found: dict[str, list[tuple[Box, float]]]


def _rounded(box: Box) -> Box:
    # float32 holds no more digits than these; further ones are noise that differs between batches.
    return Box(*(round(v, 6) for v in box))


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _device(wanted: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UserError("device is cuda, but the worker sees no GPU; set device: auto, or gpus: 1")
    return "cuda" if there and wanted != "cpu" else "cpu"

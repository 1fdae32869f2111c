"""Boxes from a closed-set detector in an ONNX file, matched to noun chunks by the names of its classes."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr

from gritmill import prompts
from gritmill.schemas.columns import Columns, GroundedBox, Parse, Span
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import decode
from gritmill.schemas.weights import Weights
from gritmill.stages.common.onnx_files import WANTED, Device, session, versions
from gritmill.stages.common.weight_files import Sha256, WeightFile
from gritmill.stages.grounders.common.labelled import Ambiguous, LabelGrounder, LabelledBox, matches
from gritmill.stages.grounders.onnx.yolox import YoloxDetector

COCO = "coco_classes"
MAX_CLASSES_BYTES = 10**6


class OnnxGrounder(LabelGrounder):
    """Noun chunks -> the boxes of a YOLOX detector whose class their head noun means; fast without a GPU.

    "a puppy" -> [GroundedBox(Span(0, 7), Box(.1, .2, .5, .9), 0.83, "yolox_nano.onnx@2c1f...", "dog")]

    The score is objectness times the class's probability, and half of it for a broader word ("animal" for
    a dog). `phrase` is the class: all that such a model can be asked for. How chunks and classes are
    matched is `LabelGrounder`'s to say; what has no class has no candidates.
    """

    reads = ("caption", "noun_chunks", "parse", "image")
    packages = {"onnxruntime": "onnx"}

    batch_size: int = Field(default=16, ge=1)
    """Rows handed to one call; an image that several of them share is looked at once."""

    grounder: Literal["onnx"] = "onnx"
    """Where the boxes come from."""
    model: str
    """File of a YOLOX detector, as its own tools/export_onnx.py writes it. Nano to X, any classes."""
    sha256: Sha256 | None = None
    """Digest that the file must have; null takes it as it is. Either way its first digits are in `model`
    of every box."""
    classes: str | None = None
    """Text file with the names of the model's classes, one a line, in its order; null for COCO's 80.
    Synonyms are known for names that are spelled as COCO's are ("motorcycle", "tv")."""
    nms_iou: float = Field(default=0.65, ge=0, le=1)
    """A box goes if it overlaps a better one of its class by more than this IoU. YOLOX's own."""
    ambiguous: Ambiguous = "all"
    """What to do where it is not clear which boxes are meant, such as "a dog" among three: `drop` the
    chunk, give it `all` of the class, or the `largest`, as many as it says. All boxes of
    `score_threshold` or more count, so raise that to what you take for certain (0.4, say) before you choose
    other than `all`."""
    device: Device = "auto"
    """Where the model runs; auto takes a GPU if onnxruntime has one. `cuda` needs gpus: 1."""

    _detector: YoloxDetector = PrivateAttr()
    _label: str = PrivateAttr()

    def problems(self) -> list[str]:
        try:
            self._names()
            self._file.digest()
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        try:
            names = hashlib.sha256("\n".join(self._names()).encode()).hexdigest()[:16]
            found = {"model": self._file.label(), "classes": names}
        except UserError:  # `problems` says so
            found = {}
        return super().revision() | found | versions("onnxruntime", "pillow")

    def needed_weights(self) -> list[Weights]:
        return [self._file.weights()]

    def setup(self) -> None:
        self._label = self._file.label()
        loaded = session(self._file, self.device, self.cpus)
        try:
            self._detector = YoloxDetector(loaded, self._names())
        except UserError as error:
            raise UserError(f"{self._file}: {error}") from error

    def process(self, batch: Columns) -> Columns:
        encoded = [image.read() for image in batch["image"]]
        once = list(dict.fromkeys(encoded))
        found = self._detector.detect([decode(data) for data in once], self.score_threshold, self.nms_iou)
        boxes = dict(zip(once, found, strict=True))
        rows = zip(batch["caption"], batch["noun_chunks"], batch["parse"], encoded, strict=True)
        return {
            "candidates": [
                self._candidates(caption, chunks, parse, boxes[data]) for caption, chunks, parse, data in rows
            ]
        }

    def _candidates(
        self, caption: str, chunks: list[Span], parse: Parse, boxes: list[LabelledBox]
    ) -> list[GroundedBox]:
        return [
            GroundedBox(match.span, labelled.box, score, self._label, labelled.label)
            for match in matches(caption, chunks, parse, boxes, self.ambiguous)
            for labelled in match.boxes
            if (score := round(labelled.score * match.weight, 6)) >= self.score_threshold
        ]

    @property
    def _file(self) -> WeightFile:
        return WeightFile("model", self.model, WANTED, self.sha256)

    def _names(self) -> list[str]:
        if self.classes is None:
            return list(prompts.word_list(COCO))
        try:
            path = Path(self.classes).expanduser()
            if path.stat().st_size > MAX_CLASSES_BYTES:
                raise UserError(f"{self.classes} is too large for names of classes; give one name a line")
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise UserError(f"classes {self.classes!r} cannot be read: {error}; give a text file") from error
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise UserError(f"classes {self.classes!r} is empty; give one name a line")
        return names

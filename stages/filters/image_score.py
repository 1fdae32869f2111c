"""Drops images by the score of a model that you choose: aesthetic, nsfw, watermark."""

import importlib.util
from typing import Literal

from pydantic import Field, PrivateAttr

from gritmill.pipeline.storage import checkpoints
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import decode
from gritmill.schemas.weights import Weights
from gritmill.stages.common import local_models, onnx_files
from gritmill.stages.common.weight_files import Sha256, WeightFile
from gritmill.stages.filters.base import AtLeast, AtMost, Filter
from gritmill.stages.filters.classifiers import Activation, Classifier, OnnxClassifier, TransformersClassifier

Triple = tuple[float, float, float]


class ImageScore(Filter):
    """Image -> what a model says of it, in one number.

    The model is an ONNX file, or a checkpoint of the transformers library for classifying images, by its hub
    id or folder. Scores of different models are not comparable: measure first, look, then choose a threshold.
    """

    reads = ("image",)

    batch_size: int = Field(default=32, ge=1)
    gpus: float | None = Field(default=None, ge=0)
    """GPUs that a worker of this stage holds; null takes one if the machine has any."""
    model: str
    """Path of an `.onnx` file, which takes an image as [N, 3, height, width] or [N, height, width, 3]; or hub
    id or folder of a transformers checkpoint."""
    model_revision: str | None = None
    """Commit, tag or branch on the hub; null for its main branch as it is when the run starts."""
    sha256: Sha256 | None = None
    """Digest that an ONNX file must have; null takes it as it is."""
    label: str | int | None = None
    """The class whose score counts, by its name in the checkpoint or its number; null for the only one."""
    activation: Activation = "none"
    """What makes a score of an ONNX file's output, `softmax` or `sigmoid` where it gives logits. Checkpoints
    of transformers say so themselves."""
    image_mean: Triple = (0.485, 0.456, 0.406)
    """Taken from red, green and blue in 0..1 for an ONNX file; ImageNet's."""
    image_std: Triple = (0.229, 0.224, 0.225)
    """Divided by afterwards."""
    crop: bool = True
    """Takes the middle of an image that is not square for an ONNX file; false squeezes it."""
    side: int = Field(default=224, ge=1, le=2048)
    """Pixels of the square that an ONNX file is given, where it does not say so itself."""
    device: local_models.Device = "auto"
    """Where the model runs; auto takes a GPU if there is one."""

    _classifier: Classifier = PrivateAttr()

    @property
    def is_onnx(self) -> bool:
        return self.model.endswith(".onnx")

    @property
    def _file(self) -> WeightFile:
        return WeightFile("model", self.model, onnx_files.WANTED, self.sha256)

    def problems(self) -> list[str]:
        wanted = (
            {"onnxruntime": "onnx"} if self.is_onnx else {"torch": "grounders", "transformers": "grounders"}
        )
        missing = [name for name in wanted if importlib.util.find_spec(name) is None]
        if missing:
            return [
                f"model {self.model!r} needs {name}: pip install 'gritmill[{wanted[name]}]'"
                for name in missing
            ]
        try:
            if self.is_onnx:
                self._file.digest()
            else:
                checkpoints.find(self.model, self.model_revision)
        except UserError as error:
            return [str(error)]
        return []

    def revision(self) -> dict[str, str]:
        if not self.is_onnx:
            return local_models.revision_of(self.model, self.model_revision)
        try:
            digest = self._file.digest()
        except UserError:  # `problems` says so
            digest = ""
        return {"model": digest, **onnx_files.versions("onnxruntime", "pillow")}

    def needed_weights(self) -> list[Weights]:
        if self.is_onnx:
            return [self._file.weights()]
        return [checkpoints.weights(self.model, self.model_revision)]

    def setup(self) -> None:
        from PIL import Image as pil

        if self.is_onnx:
            self._classifier = OnnxClassifier(
                onnx_files.session(self._file, self.device, self.cpus),
                self.label,
                self.activation,
                self.side,
                self.crop,
                (self.image_mean, self.image_std),
            )
        else:
            checkpoint = checkpoints.find(self.model, self.model_revision)
            self._classifier = TransformersClassifier(checkpoint, self.label, self.device)
        self._classifier([pil.new("RGB", (64, 64))])  # says what does not fit before any row is lost to it

    def measure(self, batch: Columns) -> Columns:
        scores = self._classifier([decode(image.read()) for image in batch["image"]])
        [column] = self.writes
        return {column: [round(score, 4) for score in scores]}


class Aesthetic(ImageScore):
    """Image -> how much people like it, as far as a model can tell.

    a sunset -> 6.1;  a blurred receipt -> Reject("ugly", 3.2, 5.0)
    """

    writes = {"aesthetic": float}
    bounds = (AtLeast("aesthetic", "min_aesthetic", "ugly"),)

    score: Literal["aesthetic"] = "aesthetic"
    """What is scored."""
    min_aesthetic: float | None
    """Score that an image must have, on the model's own scale; null for any. Stable Diffusion 1 asked for 5
    of the LAION aesthetics predictor."""


class Nsfw(ImageScore):
    """Image -> how likely a model takes it for not safe for work.

    a beach -> 0.02;  pornography -> Reject("nsfw", 0.99, 0.5)
    """

    writes = {"nsfw": float}
    bounds = (AtMost("nsfw", "max_nsfw", "nsfw"),)

    score: Literal["nsfw"] = "nsfw"
    """What is scored."""
    max_nsfw: float | None
    """Score that an image may have; null for any."""


class Watermark(ImageScore):
    """Image -> how likely a model takes it for watermarked.

    a photograph -> 0.03;  a preview of a stock agency -> Reject("watermark", 0.97, 0.5)
    """

    writes = {"watermark": float}
    bounds = (AtMost("watermark", "max_watermark", "watermark"),)

    score: Literal["watermark"] = "watermark"
    """What is scored."""
    max_watermark: float | None
    """Score that an image may have; null for any. Stable Diffusion 1 took 0.5 of LAION's detector."""

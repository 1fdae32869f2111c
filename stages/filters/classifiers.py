"""Models that make one number of an image: ONNX files, and classifiers of the transformers library."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from gritmill.pipeline.storage.checkpoints import Checkpoint
from gritmill.schemas.errors import UserError
from gritmill.stages.common import local_models

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Activation = Literal["none", "softmax", "sigmoid"]
Array = npt.NDArray[np.float32]
Label = str | int | None


class Classifier(Protocol):
    """RGB images -> a score each, in order. Raises `ValueError` for a score that is no finite number."""

    def __call__(self, images: Sequence["PILImage"]) -> list[float]: ...


class OnnxClassifier:
    """An ONNX file with one image in and one row of numbers out."""

    def __init__(
        self,
        session: Any,
        label: Label,
        activation: Activation,
        side: int,
        crop: bool,
        normal: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        given = session.get_inputs()
        shape = given[0].shape
        if len(given) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            inputs = [(one.name, one.shape) for one in given]
            raise UserError(f"the model takes {inputs}; give one with a single image, [N, 3, height, width]")
        self._channels_last = shape[1] != 3
        height, width = shape[1:3] if self._channels_last else shape[2:]
        width, height = (size if isinstance(size, int) else side for size in (width, height))
        self._size: tuple[int, int] = (width, height)
        self._step = shape[0] if isinstance(shape[0], int) else None
        self._session, self._input = session, given[0].name
        self._label, self._activation, self._crop = label, activation, crop
        self._mean, self._std = (np.array(values, np.float32) for values in normal)

    def __call__(self, images: Sequence["PILImage"]) -> list[float]:
        pixels = [self._pixels(image) for image in images]
        step = self._step or len(pixels)
        scores: list[float] = []
        for start in range(0, len(pixels), step):
            some = pixels[start : start + step]
            filled = [*some, *[np.zeros_like(some[0])] * (step - len(some))]
            [rows, *_] = self._session.run(None, {self._input: np.stack(filled)})
            scores += _scores(rows.reshape(step, -1), self._label, self._activation)[: len(some)]
        return scores

    def _pixels(self, image: "PILImage") -> Array:
        from PIL import Image as pil
        from PIL import ImageOps

        made = (
            ImageOps.fit(image, self._size, pil.Resampling.BICUBIC)
            if self._crop
            else image.resize(self._size, pil.Resampling.BICUBIC)
        )
        pixels = (np.asarray(made, np.float32) / np.float32(255) - self._mean) / self._std
        return pixels if self._channels_last else np.ascontiguousarray(pixels.transpose(2, 0, 1))


class TransformersClassifier:
    """A checkpoint that transformers loads as `AutoModelForImageClassification`."""

    def __init__(self, checkpoint: Checkpoint, label: Label, device: local_models.Device) -> None:
        self._device = local_models.chosen_device(device)
        self._processor = local_models.load_part(checkpoint, local_models.image_processor)
        model = local_models.load_model(checkpoint, "AutoModelForImageClassification")
        self._label = _number(label, model.config.label2id)
        kind = model.config.problem_type
        several = kind == "multi_label_classification"
        alone = kind == "regression" or model.config.num_labels == 1
        self._activation: Activation = "none" if alone else "sigmoid" if several else "softmax"
        self._model = model.to(self._device)

    def __call__(self, images: Sequence["PILImage"]) -> list[float]:
        import torch

        pixels = self._processor(list(images), return_tensors="pt")["pixel_values"].to(self._device)
        with torch.inference_mode():
            rows = self._model(pixel_values=pixels).logits.float().cpu().numpy()
        return _scores(rows, self._label, self._activation)


def _scores(rows: Array, label: Label, activation: Activation) -> list[float]:
    """Outputs of a model, [images, classes] -> the score of one class for each."""
    values = rows.astype(np.float64)
    classes = values.shape[1]
    if label is None and classes > 1:
        raise UserError(f"the model has {classes} classes; let label say which of them counts")
    column = 0 if label is None else label
    if not isinstance(column, int) or not 0 <= column < classes:
        raise UserError(f"label {label!r} is none of the model's {classes} classes; give a number from 0")
    if not np.isfinite(values).all():
        raise ValueError("the model gave numbers that are not finite")
    if activation == "softmax":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    elif activation == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    return values[:, column].tolist()


def _number(label: Label, known: dict[str, int]) -> int | None:
    """The number of a class by its name."""
    if not isinstance(label, str):
        return label
    if label not in known:
        raise UserError(f"label {label!r} is none of the model's; it has: {', '.join(known)}")
    return known[label]

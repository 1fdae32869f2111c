"""YOLOX detectors as ONNX files: letterbox in, labelled boxes out.

Made for the official exports (`tools/export_onnx.py` of Megvii-BaseDetection/YOLOX, version 0.1.1 and
later): BGR 0..255 without normalisation, [N, 3, H, W] -> [N, anchors, 5 + classes], each anchor
x, y, w, h, objectness and the classes' probabilities. Both kinds are read, with the boxes decoded in the
graph (`--decode_in_inference`) and not.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gritmill.schemas.boxes import Box, nms
from gritmill.schemas.errors import UserError
from gritmill.stages.grounders.common.labelled import LabelledBox

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Array = npt.NDArray[np.float32]

GREY = 114
STRIDES = (8, 16, 32)

MAX_BOXES = 1000
"""Most boxes of an image that are compared with each other, best first."""

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class YoloxDetector:
    """A loaded model and the names of its classes."""

    def __init__(self, session: Any, classes: Sequence[str]) -> None:
        """Raises `UserError` for a model that is none, whose text goes on after "model ...: "."""
        given = _image_input(session)
        self._session = session
        self._classes = classes
        self._input = given.name
        self._dtype = DTYPES[given.type]
        batch, _, self.height, self.width = given.shape
        self._batch = batch if isinstance(batch, int) else None
        self._corners, self._strides = anchors(self.height, self.width)
        self._is_decoded = self._probe()

    def detect(
        self, images: Sequence["PILImage"], threshold: float, max_iou: float
    ) -> list[list[LabelledBox]]:
        """RGB images -> the boxes of each that score `threshold` or more, best first, after NMS by class."""
        pictures = [self._letterboxed(image) for image in images]
        outputs = self._outputs([pixels for pixels, _ in pictures])
        return [
            self._boxes(output, size, threshold, max_iou)
            for output, (_, size) in zip(outputs, pictures, strict=True)
        ]

    def _letterboxed(self, image: "PILImage") -> tuple[Array, tuple[int, int]]:
        pixels, size = letterbox(image, self.width, self.height)
        return pixels, size

    def _outputs(self, pixels: Sequence[Array]) -> list[Array]:
        """Anchors of each image; a model of a fixed batch is given no more, and grey to fill up with."""
        found: list[Array] = []
        size = self._batch or len(pixels)
        for start in range(0, len(pixels), size):
            some = pixels[start : start + size]
            filling = [np.full_like(some[0], GREY)] * ((self._batch or 0) - len(some))
            images = np.stack([*some, *filling]).astype(self._dtype)
            [output, *_] = self._session.run(None, {self._input: images})
            found += list(output[: len(some)].astype(np.float32))
        return found

    def _boxes(
        self, output: Array, size: tuple[int, int], threshold: float, max_iou: float
    ) -> list[LabelledBox]:
        if not self._is_decoded:
            output = decoded(output, self._corners, self._strides)
        if not np.isfinite(output).all():
            raise ValueError("the detector gave numbers that are not finite")
        scores = output[:, 4:5] * output[:, 5:]
        classes = scores.argmax(axis=1)
        best = scores.max(axis=1)
        order = np.argsort(-best, kind="stable")[:MAX_BOXES]
        order = order[best[order] >= threshold]
        found: dict[int, list[LabelledBox]] = {}
        for i in order.tolist():
            x, y, w, h = map(float, output[i, :4])
            center = Box.from_center(x, y, w, h)
            box = rounded(Box.from_pixels(*center, *size).clipped())
            if box.is_valid:
                label = int(classes[i])
                labelled = LabelledBox(self._classes[label], box, False, round(float(best[i]), 6))
                found.setdefault(label, []).append(labelled)
        kept = [
            of_class[i]
            for of_class in found.values()
            for i in nms([one.box for one in of_class], [one.score for one in of_class], max_iou)
        ]
        return sorted(kept, key=lambda one: -one.score)

    def _probe(self) -> bool:
        """Looks at a grey image: is the output shaped as it should be, and are its boxes decoded?

        Decoded, the anchors' x are pixels and lie about their cells; else they count cells from there,
        and lie about 0. Raises `UserError` for another shape.
        """
        [output] = self._outputs([np.full((3, self.height, self.width), GREY, np.float32)])
        expected = (len(self._corners), 5 + len(self._classes))
        if output.shape != expected:
            raise UserError(
                f"its output has shape {list(output.shape)} for an image, but YOLOX with "
                f"{len(self._classes)} classes gives {list(expected)}; let `classes` name the file with its "
                "classes, and export without changes to the output"
            )
        x = output[:, 0]
        in_pixels = self._corners[:, 0] * self._strides
        return bool(np.abs(x - in_pixels).mean() < np.abs(x).mean())


def letterbox(image: "PILImage", width: int, height: int) -> tuple[Array, tuple[int, int]]:
    """RGB image -> BGR [3, height, width], 0..255, and the (width, height) that the image has in it.

    The image lies at the top left, as large as fits, the rest is grey: 640x480 in 416x416 becomes
    416x312. Sampled as OpenCV's INTER_LINEAR does, which the models were trained with and which, unlike
    Pillow's `resize`, does not smooth when it shrinks.
    """
    from PIL import Image as pil

    ratio = min(width / image.width, height / image.height)
    inner = max(1, int(image.width * ratio)), max(1, int(image.height * ratio))
    steps = image.width / inner[0], 0, 0, 0, image.height / inner[1], 0
    small = image.transform(inner, pil.Transform.AFFINE, steps, pil.Resampling.BILINEAR)
    canvas = np.full((height, width, 3), GREY, np.uint8)
    canvas[: inner[1], : inner[0]] = np.asarray(small)
    return canvas[:, :, ::-1].transpose(2, 0, 1).astype(np.float32), inner


def anchors(height: int, width: int) -> tuple[Array, Array]:
    """The cell (column, row) and the stride of each anchor: all of stride 8 first, row by row.

    >>> anchors(32, 32)[0][:5].tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0]]
    """
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full(rows.size, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decoded(output: Array, cells: Array, strides: Array) -> Array:
    """Raw anchors -> centre, width and height in pixels of the model's input; the rest stays.

    Centre: (cell + offset) * stride; size: exp(value) * stride (YOLOX, `demo_postprocess`).
    """
    with np.errstate(over="ignore"):  # what overflows is told of by who reads it
        centers = (cells + output[:, :2]) * strides[:, None]
        sizes = np.exp(output[:, 2:4]) * strides[:, None]
    return np.concatenate([centers, sizes, output[:, 4:]], axis=1)


def rounded(box: Box) -> Box:
    # float32 holds no more digits than these; further ones are noise that differs between batches.
    return Box(*(round(v, 6) for v in box))


def _image_input(session: Any) -> Any:
    inputs = session.get_inputs()
    if len(inputs) == 1 and _is_image(inputs[0].shape, inputs[0].type):
        return inputs[0]
    raise UserError(
        f"it takes {[(given.shape, given.type) for given in inputs]}, not one image [N, 3, height, width] "
        f"with a height and width that are fixed and multiples of {STRIDES[-1]}; export YOLOX with "
        "tools/export_onnx.py"
    )


def _is_image(shape: list[int | str | None], dtype: str) -> bool:
    if len(shape) != 4 or shape[1] != 3 or dtype not in DTYPES:
        return False
    return all(isinstance(side, int) and side > 0 and side % STRIDES[-1] == 0 for side in shape[2:])

"""Drops images of nude people, and of faces where privacy asks for it, by the model of NudeNet."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns
from gritmill.schemas.images import decode
from gritmill.schemas.weights import Weights
from gritmill.stages.common.onnx_files import Device, session, versions
from gritmill.stages.common.weight_files import WeightFile
from gritmill.stages.filters.base import AtMost, Filter

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

CLASSES = (
    "female_genitalia_covered",
    "face_female",
    "buttocks_exposed",
    "female_breast_exposed",
    "female_genitalia_exposed",
    "male_breast_exposed",
    "anus_exposed",
    "feet_exposed",
    "belly_covered",
    "feet_covered",
    "armpits_covered",
    "armpits_exposed",
    "face_male",
    "belly_exposed",
    "male_genitalia_exposed",
    "anus_covered",
    "female_breast_covered",
    "buttocks_covered",
)
"""What the model finds, in its order."""

NUDITY = tuple(
    CLASSES.index(f"{part}_exposed")
    for part in ("buttocks", "female_breast", "female_genitalia", "anus", "male_genitalia")
)
FACES = CLASSES.index("face_female"), CLASSES.index("face_male")

BLOCK = 32
"""Pixels that the sides of the model's input are multiples of."""


class NudeNet(Filter):
    """Image -> the highest score of any nudity, and of any face, 0..1.

    a family at the beach, max_face: null -> nudity 0.11, face 0.71
    the same, max_face: 0.4               -> Reject("face", 0.71, 0.4)

    The detector of NudeNet 3 (a YOLOv8 nano, MIT), whose weights come in its package; they are asked
    directly, in RGB: the package itself feeds them BGR, and finds a third fewer faces. Nudity is what its
    classes call exposed of buttocks, female breasts, genitalia and anus. Faces are dropped, not blurred: a
    sample refers to its source's bytes, which are never changed.
    """

    reads = ("image",)
    writes = {"nudity": float, "face": float}
    packages = {"nudenet": "nudenet", "onnxruntime": "nudenet"}
    bounds = (AtMost("nudity", "max_nudity", "nudity"), AtMost("face", "max_face", "face"))

    batch_size: int = Field(default=16, ge=1)
    max_nudity: float | None = Field(default=0.4, ge=0, le=1)
    """Score of nudity that an image may have; null for any. Our choice: of 80 photographs of COCO none has
    more than 0.17."""
    max_face: float | None = Field(default=None, ge=0, le=1)
    """Score of a face that an image may have; null for any. At 0.4 it finds one in 16 of 22 photographs
    of COCO with large people and in none of 44 without any; people in the distance go unnoticed."""
    side: int = Field(default=320, ge=BLOCK, le=1280, multiple_of=BLOCK)
    """Pixels of the square that the model sees. It was made for 320; more finds smaller faces."""
    device: Device = "auto"
    """Where the model runs; auto takes a GPU if onnxruntime has one. `cuda` needs gpus: 1."""

    _session: Any = PrivateAttr()

    def revision(self) -> dict[str, str]:
        return versions("nudenet", "onnxruntime", "pillow")

    def needed_weights(self) -> list[Weights]:
        return [Weights("nudenet", "package", versions("nudenet").get("nudenet", ""))]

    def setup(self) -> None:
        file = WeightFile("model", str(_weights()), "the package nudenet as it was released", None)
        self._session = session(file, self.device, self.cpus)

    def measure(self, batch: Columns) -> Columns:
        scores = [self._scores(decode(image.read(), at_least=self.side)) for image in batch["image"]]
        return {
            "nudity": [round(float(row[list(NUDITY)].max()), 4) for row in scores],
            "face": [round(float(row[list(FACES)].max()), 4) for row in scores],
        }

    def _scores(self, picture: "PILImage") -> npt.NDArray[np.float32]:
        """The highest score of each class, anywhere in the image."""
        [given] = self._session.get_inputs()
        [found] = self._session.run(None, {given.name: squared(picture, self.side)})
        scores: npt.NDArray[np.float32] = found[0, 4:].max(axis=1)
        if not np.isfinite(scores).all():
            raise ValueError("the model gave numbers that are not finite")
        return scores


def squared(picture: "PILImage", side: int) -> npt.NDArray[np.float32]:
    """RGB image -> [1, 3, side, side] in 0..1: at the top left, as large as fits, the rest black."""
    from PIL import Image as pil

    scale = side / max(picture.size)
    inner = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    canvas = pil.new("RGB", (side, side))
    canvas.paste(picture.resize(inner, pil.Resampling.BILINEAR), (0, 0))
    return np.ascontiguousarray(np.asarray(canvas, np.float32).transpose(2, 0, 1)[None] / 255)


def _weights() -> Path:
    """The file in the package, which is not imported: that would load OpenCV."""
    spec = importlib.util.find_spec("nudenet")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "320n.onnx"

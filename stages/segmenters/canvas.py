"""How an image lies on the square that a SAM model sees, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gritmill.schemas.boxes import Box

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Array = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Canvas:
    """Square of `side` pixels.

    SAM keeps the image's shape and pads it at the right and at the bottom, SAM 2 and 3 stretch it.
    """

    side: int = 1024
    stretch: bool = False
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD

    def pixels(self, picture: "PILImage") -> Array:
        """An RGB image -> what the model sees of it, [3, side, side]; padding is 0."""
        from PIL.Image import Resampling

        width, height = self._content(*picture.size)
        resized = np.asarray(picture.resize((width, height), Resampling.BILINEAR), np.float32) / 255
        pixels = np.zeros((3, self.side, self.side), np.float32)
        pixels[:, :height, :width] = ((resized - self.mean) / self.std).transpose(2, 0, 1)
        return pixels

    def corners(self, boxes: Sequence[Box], width: int, height: int) -> Array:
        """Boxes of an image of this size -> [boxes, 4], their corners in pixels of the canvas."""
        return np.array([box.scaled(*self._content(width, height)) for box in boxes], np.float32)

    def on_image(self, logits: Array, width: int, height: int) -> Array:
        """[h, w] over the whole canvas, at any resolution -> [height, width] over the image alone."""
        from PIL import Image as pil

        shown = [side * logits.shape[0] / self.side for side in self._content(width, height)]
        image = pil.fromarray(np.ascontiguousarray(logits, np.float32))
        return np.asarray(image.resize((width, height), pil.Resampling.BILINEAR, box=(0, 0, *shown)))

    def _content(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the image on the canvas."""
        if self.stretch:
            return self.side, self.side
        scale = self.side / max(width, height)
        return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))

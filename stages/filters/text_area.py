"""Drops images that are mostly text: adverts, screenshots, memes, scanned pages."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr

from gritmill.schemas.columns import Columns
from gritmill.schemas.images import decode
from gritmill.schemas.weights import Weights
from gritmill.stages.common.onnx_files import versions
from gritmill.stages.filters.base import AtMost, Filter


class TextArea(Filter):
    """Image -> the share of it that lies under text, and how many pieces of text there are.

    a street with a shop sign -> text_area 0.02, text_lines 1
    a screenshot of a page    -> Reject("text", 0.46, 0.3)

    RapidOCR (PP-OCR in ONNX, Apache-2.0), whose weights come in its package. What its detector finds is read,
    and counts if two letters or digits are legible: by itself the detector takes one photograph of COCO in
    ten for a single large letter.
    """

    reads = ("image",)
    writes = {"text_area": float, "text_lines": int}
    packages = {"rapidocr": "ocr", "onnxruntime": "ocr"}
    bounds = (
        AtMost("text_area", "max_text_area", "text"),
        AtMost("text_lines", "max_text_lines", "text_lines"),
    )

    batch_size: int = Field(default=16, ge=1)
    max_text_area: float | None = Field(default=0.3, ge=0, le=1)
    """Share of an image that may lie under text; null for any. Our choice."""
    max_text_lines: int | None = Field(default=None, ge=0)
    """Pieces of text, a line or a part of one each, that an image may have; null for any number."""
    side: int = Field(default=640, ge=64, le=2000)
    """Pixels of the longer side at which text is looked for; larger images are made smaller. More finds
    smaller text, and takes longer by its square."""

    _detector: Any = PrivateAttr()

    def revision(self) -> dict[str, str]:
        return versions("rapidocr", "opencv-python-headless", "onnxruntime", "pillow")

    def needed_weights(self) -> list[Weights]:
        return [Weights("rapidocr", "package", versions("rapidocr").get("rapidocr", ""))]

    def setup(self) -> None:
        from rapidocr import RapidOCR

        threads = max(1, int(self.cpus))
        self._detector = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Det.limit_type": "max",
                "Det.limit_side_len": self.side,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def measure(self, batch: Columns) -> Columns:
        found = [self._text(image) for image in batch["image"]]
        return {"text_area": [area for area, _ in found], "text_lines": [lines for _, lines in found]}

    def _text(self, image: Any) -> tuple[float, int]:
        pixels = np.asarray(decode(image.read(), at_least=self.side))
        found = self._detector(pixels[:, :, ::-1])
        if found.boxes is None or found.txts is None:
            return 0.0, 0
        boxes = [box for box, text in zip(found.boxes, found.txts, strict=True) if is_legible(text)]
        return covered(boxes, pixels.shape[1], pixels.shape[0]), len(boxes)


def is_legible(text: str) -> bool:
    """True if it has two letters or digits, which is what a reader does not see in a picture by chance."""
    return sum(map(str.isalnum, text)) >= 2


def covered(quadrilaterals: Iterable[npt.NDArray[np.float32]], width: int, height: int) -> float:
    """The share of an image that some quadrilaterals, [4, 2] in its pixels, cover together."""
    from PIL import Image as pil
    from PIL import ImageDraw

    mask = pil.new("1", (width, height))
    draw = ImageDraw.Draw(mask)
    for corners in quadrilaterals:
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return round(float(np.asarray(mask).mean()), 4)

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gritmill import Columns, ImageRef, Part, Reject, Source


class LinesSource(Source):
    """The path of an image and its caption a line, with a tab between."""

    type: Literal["lines"] = "lines"
    path: str
    """The file."""

    def parts(self) -> Iterator[Part]:
        text = Path(self.path).read_bytes()
        yield {"uri": self.path, "sha256": hashlib.sha256(text).hexdigest()}

    def read(self, part: Part) -> Columns:
        lines = Path(part["uri"]).read_text(encoding="utf-8").splitlines()
        rows = [line.partition("\t") for line in lines]
        return {
            "key": [f"{number:06}" for number in range(len(rows))],
            "image_id": [image for image, _, _ in rows],
            "image": [ImageRef(image, 0, 0) for image, _, _ in rows],
            "caption": [caption or Reject("no_caption") for _, _, caption in rows],
            "captions": [[caption] for _, _, caption in rows],
            "metadata": ["{}" for _ in rows],
        }

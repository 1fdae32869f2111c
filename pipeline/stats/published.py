"""Sizes of published datasets (`published.yaml`)."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

FILE = Path(__file__).with_name("published.yaml")


class Published(BaseModel):
    """What a paper reports of a dataset.

    >>> published()[0].name, published()[0].boxes_per_image
    ('GRIT', 1.5157...)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    images: int
    boxes: int
    spans: int
    words_per_span: float | None = None
    source: str
    verified: bool
    """Read in the source; otherwise from memory."""
    note: str | None = None

    @property
    def boxes_per_image(self) -> float:
        return self.boxes / self.images

    @property
    def spans_per_image(self) -> float:
        return self.spans / self.images

    @property
    def boxes_per_span(self) -> float:
        """Below 1 where several expressions name one box."""
        return self.boxes / self.spans


@cache
def published() -> tuple[Published, ...]:
    """All of them, in the order of the file."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(TypeAdapter(list[Published]).validate_python(entries))

"""A deduplicator that says what it is doing, and takes its time, so that a test can kill it there."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from gritmill.schemas.columns import Columns
from gritmill.stages.base import Sketches
from gritmill.stages.dedup.images import PerceptualImages

SECONDS = 0.1


class SlowPerceptualImages(PerceptualImages):
    """`deduplicate_images` by perceptual hash, slowly."""

    def sketch(self, part: Columns) -> Columns:
        _says("sketch")
        return super().sketch(part)

    def decide(self, sketches: Sketches) -> Iterator[Columns]:
        for decision in super().decide(sketches):
            _says("decide")
            yield decision

    def process(self, batch: Columns) -> Columns:
        _says("process")
        return super().process(batch)


def _says(step: str) -> None:
    with Path(os.environ["SLOW_DEDUP"]).open("a") as file:
        file.write(f"{step}\n")
    time.sleep(SECONDS)

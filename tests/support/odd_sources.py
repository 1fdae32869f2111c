"""Sources that misbehave, for the tests of the engine."""

import os
import signal
from collections.abc import Iterator

from gritmill.pipeline.sources.base import Part, Source
from gritmill.schemas.columns import Columns


class Deadly(Source):
    """Reading it kills the process, as a corrupt file can with a library in C."""

    def provides(self) -> dict[str, object]:
        return {
            **super().provides(),
            "width": int,
            "height": int,
            "image_format": str,
            "image_bytes": int,
        }

    def parts(self) -> Iterator[Part]:
        yield {"number": 0}

    def read(self, part: Part) -> Columns:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

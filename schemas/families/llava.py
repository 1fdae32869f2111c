"""What LLaVA 1.5 is shown and how it is spoken to."""

from typing import Any

QUESTION = "USER: {} ASSISTANT:"
"""Where a processor has no chat template."""


def side(processor: Any) -> int:
    """Pixels of the square that the vision encoder takes."""
    return int(processor.image_processor.crop_size["height"])

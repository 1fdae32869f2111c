"""What counts as truth: the two ways to ask, which `questions` explains."""

from enum import StrEnum


class Truth(StrEnum):
    """Which phrases are judged, and against which boxes."""

    clear = "clear"
    category = "category"

"""The filters of the curation benchmark: plain functions, which every engine may call."""

from collections import Counter


def long_enough(caption: str) -> bool:
    return 10 <= len(caption) <= 1000


def wordy_enough(caption: str) -> bool:
    return 3 <= len(caption.split()) <= 100


def varied_enough(caption: str, size: int = 10, most: float = 0.5) -> bool:
    """At most half of the caption's runs of ten characters come more than once."""
    runs = Counter(caption[i : i + size] for i in range(len(caption) - size + 1))
    repeated = sum(count for count in runs.values() if count > 1)
    return repeated <= most * max(1, runs.total())


FILTERS = {"length": long_enough, "words": wordy_enough, "repetition": varied_enough}

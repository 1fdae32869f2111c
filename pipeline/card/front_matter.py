"""The YAML at the head of a card, which the Hub and `datasets` read."""

from typing import Any

import yaml

from gritmill.pipeline.card.facts import Facts

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_LARGEST = "10B<n<100B"


def front_matter(facts: Facts) -> str:
    """The block with its `---` lines. Its one config makes `load_dataset(folder)` read every split."""
    fields = {
        "license": facts.card.license,
        "license_name": facts.name if facts.card.license == "other" else None,
        "license_link": facts.card.license_url,
        "language": facts.languages,
        "pretty_name": facts.name,
        "size_categories": [size_category(facts.stats.samples)],
        "task_categories": task_categories(facts),
        "annotations_creators": ["machine-generated"],
        "tags": tags(facts),
        "configs": [{"config_name": "default", "data_files": data_files(facts)}],
    }
    kept = {name: value for name, value in fields.items() if value}
    return f"---\n{yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)}---\n"


def data_files(facts: Facts) -> list[dict[str, str]]:
    """Only one of the formats: `datasets` reads all configs of a folder with the loader of the first."""
    pattern = "data/{}-*.tar" if facts.has(".tar") else "parquet/{}-*.parquet"
    return [{"split": split, "path": pattern.format(split)} for split in facts.splits]


def size_category(samples: int) -> str:
    """The Hub's name for a number of samples.

    >>> size_category(1500)
    '1K<n<10K'
    """
    limits = (10**power for power in range(3, 3 + len(_SIZES)))
    return next((name for name, limit in zip(_SIZES, limits, strict=True) if samples < limit), _LARGEST)


def task_categories(facts: Facts) -> list[str]:
    """What the Hub calls the tasks that the samples are good for."""
    found = ["image-to-text"]
    if facts.stats.boxes:
        found.append("zero-shot-object-detection")
    if facts.stats.conversations:
        found += ["visual-question-answering", "image-text-to-text"]
    return found


def tags(facts: Facts) -> list[str]:
    """What else the Hub finds the dataset by."""
    found: dict[str, Any] = {
        "gritmill": True,
        "webdataset": facts.has(".tar"),
        "grounding": facts.stats.boxes,
        "referring-expressions": facts.stats.expanded,
        "visual-instruction-tuning": facts.stats.conversations,
        "synthetic": facts.stats.text_models,
    }
    return [name for name, applies in found.items() if applies]

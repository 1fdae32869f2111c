"""What a source said of a sample: the fields of its `metadata`."""

import json
from collections.abc import Sequence
from typing import Any


def facts(metadata: str | None) -> dict[str, Any]:
    """The JSON object in `metadata`; empty where there is none."""
    try:
        found = json.loads(metadata or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def first_text(found: dict[str, Any], fields: Sequence[str]) -> str:
    """The first of some fields that says anything, as text; "" where none does.

    >>> first_text({"license": None, "license_url": "https://..."}, ["license", "license_url"])
    'https://...'
    """
    texts = (str(found[field]).strip() for field in fields if isinstance(found.get(field), (str, int)))
    return next((text for text in texts if text), "")

"""Conversations made from templates, the word lists in prompts/."""

from collections.abc import Iterable

from gritmill import prompts
from gritmill.schemas.conversations import Provenance


def from_templates(tasks: Iterable[str], files: Iterable[str]) -> Provenance:
    """Where a conversation came from whose words are those of some files.

    >>> from_templates(["rec"], ["tasks/rec"]).template
    'tasks/rec@1c9b72d2f0a4e6d8'
    """
    template = ", ".join(f"{file}@{prompts.digest(file)}" for file in files)
    return Provenance(task=", ".join(tasks), template=template)

"""Which models a dataset was made with, and under which licences these are published."""

from collections.abc import Iterator
from typing import NamedTuple

from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.markdown import code, link, plain, table
from gritmill.schemas.model_facts import model_facts, name_of

_MOST = 50
UNKNOWN = "unknown"


class UsedModel(NamedTuple):
    """>>> UsedModel("IDEA-Research/grounding-dino-tiny@a2bb814dd30d", "found boxes")"""

    label: str
    """Name and revision, as receipts and records have it."""
    did: str

    @property
    def revision(self) -> str:
        return self.label[len(name_of(self.label)) :].strip(" @")


def used_models(facts: Facts) -> Iterator[UsedModel]:
    """All that had a part in the samples: those that read captions, found boxes, wrote text."""
    for stage in facts.stages:
        if stage.kind == "noun_chunks":
            label = facts.summary["versions"].get(stage.name, {}).get("model")
            if label:
                yield UsedModel(label, "parsed captions")
    for label in facts.box_models:
        yield UsedModel(label, "found boxes")
    for label in facts.stats.text_models:
        yield UsedModel(label, "wrote conversations")


def models_table(facts: Facts) -> str:
    """One row a model with its licence, or that this is unknown; empty where there was no model."""
    used = list(used_models(facts))[:_MOST]
    if not used:
        return ""
    rows = [("model", "revision", "what it did", "licence")]
    for model in used:
        known = model_facts(model.label)
        name = code(name_of(model.label))
        licence = UNKNOWN
        if known:
            name = link(name, known.url)
            licence = plain(known.terms) + ("" if known.verified else " (unchecked)")
        rows.append((name, code(model.revision) if model.revision else "-", model.did, licence))
    return table(rows)

"""Under which terms a dataset may be used: its own, those of its sources, those of models."""

from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.markdown import by_count, code, plain, table
from gritmill.pipeline.card.models import used_models
from gritmill.pipeline.stats.table import number
from gritmill.schemas.licences import forbids_changes, forbids_commerce
from gritmill.schemas.model_facts import model_facts, name_of

_MOST = 50


def licences(facts: Facts) -> str:
    """What the recipe says, what the source states of its samples, and what models may demand."""
    parts = []
    if facts.card.license == "unknown":
        parts.append("Nobody has said yet under which licence this dataset may be used.")
    else:
        address = f", see {plain(facts.card.license_url)}" if facts.card.license_url else ""
        parts.append(f"The dataset: {code(facts.card.license)}{address}.")
    if facts.card.source:
        parts.append(f"Images and captions: {plain(facts.card.source)}")
    parts.append("Each image and caption stays under the terms of those who made it.")
    if stated := facts.stats.licenses:
        rows = [("licence that the source states", "samples")]
        rows += [(plain(name), number(count)) for name, count in by_count(stated)[:_MOST]]
        parts.append(table(rows))
        if any(forbids_commerce(name) or forbids_changes(name) for name in stated):
            parts.append("Some of these forbid commercial use, or changes.")
    if models := list(used_models(facts)):
        parts.append(
            "What models give may be bound by their licences and terms of use, which are in the table of "
            "models above."
        )
        if unknown := [name_of(model.label) for model in models if model_facts(model.label) is None]:
            names = ", ".join(map(code, dict.fromkeys(unknown[:_MOST])))
            parts.append(f"Of these the licence is unknown to us: {names}.")
    return "\n\n".join(parts)

"""How a card says that its dataset was made: stages, models, code, funnel, recipe."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.markdown import block, by_count, code, table
from gritmill.pipeline.card.models import models_table
from gritmill.pipeline.stats.table import number


def making(facts: Facts) -> str:
    """All that it takes to make the same dataset again, and what became of the rows."""
    parts = [
        "The stages that each sample went through, with every option that decides what they give:",
        _stages(facts),
    ]
    if replacing := [code(stage.name) for stage in facts.stages if stage.options.get("replace") is True]:
        parts.append(
            f"Conversations of earlier stages, and of the source, were dropped at {', '.join(replacing)}."
        )
    if models := models_table(facts):
        parts += ["The models:", models]
    if versions := facts.summary["versions"]:
        rows = [("stage", "what", "version or digest")]
        for step, found in versions.items():
            rows += [(code(step), code(name), code(version)) for name, version in found.items()]
        parts += [
            "Revisions of models, versions of libraries, digests of prompts and word lists:",
            table(rows),
        ]
    parts += ["What became of the rows:", _funnel(facts)]
    parts.append("The recipe; what it names on the machine that ran it is shortened:")
    parts.append(block(yaml.safe_dump(facts.recipe, sort_keys=False, allow_unicode=True), "yaml"))
    made = facts.summary["gritmill"]
    parts.append(
        f"Made by gritmill {code(made['version'])} with code {code(made['code'])}. Fingerprint of the files: "
        f"{code(facts.fingerprint)}."
    )
    return "\n\n".join(parts)


def _stages(facts: Facts) -> str:
    rows = [("stage", "options"), ("source", _options(facts.recipe["source"]))]
    for stage in facts.stages:
        name = stage.name if stage.name == stage.kind else f"{stage.name} ({stage.kind})"
        rows.append((code(name), _options(stage.options)))
    return table(rows)


def _options(options: Mapping[str, Any]) -> str:
    if not options:
        return ""
    return code(
        ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.items())
    )


def _funnel(facts: Facts) -> str:
    rows: list[tuple[str, ...]] = [("step", "in", "kept", "rejected", "failed", "why")]
    for row in facts.summary["funnel"]:
        passed = {f"passed: {reason}": count for reason, count in row.get("passed", {}).items()}
        why = {**row["rejected"], **row["failed"], **passed}
        reasons = ", ".join(f"{code(reason)} {count:,}" for reason, count in by_count(why))
        counts = (row["rows_in"], row["rows_out"], sum(row["rejected"].values()), sum(row["failed"].values()))
        rows.append((code(row["step"]), *map(number, counts), reasons))
    return table(rows)

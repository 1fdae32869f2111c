"""What was trained on a dataset and how well it does, from the files that training and evaluation leave."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

_LOG = "log.jsonl"
_METRICS = "eval/metrics.json"
_FORMAT = 1


class ReportedScore(NamedTuple):
    """A score under a protocol, in 0..1."""

    set: str
    task: str
    protocol: str
    value: float
    low: float
    high: float
    ceiling: float | None
    """The most that the model's way to spell boxes allows."""
    blind: float | None
    """The best of the baselines, which do not look at the image."""
    questions: int


class Training(NamedTuple):
    """`trainer/log.py` says what stands in a line of the log."""

    log: list[dict[str, Any]]
    scores: list[ReportedScore]


def read_training(model: Store) -> Training | None:
    """None where nothing was trained."""
    log = list(_lines(model)) if model.exists(_LOG) else []
    scores = list(_scores(json.loads(model.read(_METRICS)))) if model.exists(_METRICS) else []
    return Training(log, scores) if log or scores else None


def _lines(model: Store) -> Iterator[dict[str, Any]]:
    for text in model.read(_LOG).splitlines():
        try:
            yield json.loads(text)
        except ValueError:  # cut short by a kill
            return


def _scores(metrics: dict[str, Any]) -> Iterator[ReportedScore]:
    if metrics.get("format") != _FORMAT:
        raise UserError(f"{_METRICS} is of another version than this code; `pipeline eval` writes it anew")
    for name, tasks in metrics["sets"].items():
        for task, scores in tasks.items():
            baselines = metrics["baselines"].get(name, {}).get(task, {})
            for protocol, score in scores.items():
                low, high = score["interval"] or (score["value"], score["value"])
                others = [other["value"] for other in baselines.get(protocol, {}).values()]
                yield ReportedScore(
                    name,
                    task,
                    protocol,
                    score["value"],
                    low,
                    high,
                    score["ceiling"],
                    max(others, default=None),
                    score["n"],
                )

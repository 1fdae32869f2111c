"""What an evaluation leaves in its folder: metrics.json, every answer, and the outcomes of single questions.

metrics.json:

    {"format": 1, "model": "microsoft/kosmos-2-patch14-224", "dialect": "kosmos2", "prompts": "native", ...,
     "questions": {"validation": {"rec": {"n": 812, "of": 812, "images": 269, "bad_images": 0,
        "sha256": "5f70bf18a0860070"}}},
     "sets": {"validation": {"rec": {"rec/first_box@0.5": {"protocol": "rec/first_box@0.5", "value": 0.631,
        "n": 812, "images": 269, "unparsable": 3, "interval": [0.602, 0.659], "ceiling": 0.991,
        "unparsable_rate": 0.0037}}}},
     "baselines": {"validation": {"rec": {"rec/first_box@0.5": {"mean box": {...}, ...}}}},
     "missing": {"validation": {"caption": {"caption/cider": "Scores of text need Java, ..."}}}}

predictions-SET-TASK.jsonl: a question and its answer a line. outcomes-SET-TASK.json: for `load_outcomes`.
No time and no path of a machine is written: the same model and questions give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gritmill.pipeline.storage import whole
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import to_json
from gritmill.trainer.metrics import Interval, Outcomes, Score, statistic_of

FORMAT = 1
METRICS = "metrics.json"

_RESULTS = ("questions", "sets", "baselines", "missing")


@dataclass(frozen=True)
class TaskResult:
    """The scores of a set and task."""

    name: str
    task: str
    questions: dict[str, Any]
    """`n` asked `of` how many, on how many `images`, of which `bad_images` could not be read; `sha256`."""
    scores: Sequence[Score]
    baselines: Mapping[str, Mapping[str, Score]]
    """Protocol -> name -> what answers without a look at the image score."""
    missing: Mapping[str, str]
    """Protocol -> why it could not be scored."""

    @property
    def by_protocol(self) -> dict[str, Score]:
        return {score.protocol: score for score in self.scores}


@dataclass(frozen=True)
class Report:
    """All scores of an evaluation, and what made them."""

    about: dict[str, Any]
    """`model`, `dialect`, `prompts`, `versions` and whatever else the caller knew."""
    results: Sequence[TaskResult]

    def score(self, name: str, protocol: str) -> Score:
        """>>> report.score("validation", "rec/first_box@0.5").value"""
        for result in self.results:
            if result.name == name and protocol in result.by_protocol:
                return result.by_protocol[protocol]
        raise UserError(f"The evaluation has no {protocol} of the set {name}. Add both to `eval`.")


def write_report(folder: Path, report: Report) -> None:
    """Writes metrics.json."""
    told: dict[str, Any] = {"format": FORMAT, **report.about, **{name: {} for name in _RESULTS}}
    for result in report.results:
        scores = {score.protocol: _plain(score) for score in result.scores}
        baselines = {
            protocol: {name: _plain(score) for name, score in named.items()}
            for protocol, named in result.baselines.items()
        }
        values = (result.questions, scores, baselines, dict(result.missing))
        for name, value in zip(_RESULTS, values, strict=True):
            told[name].setdefault(result.name, {})[result.task] = value
    text = json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1)
    whole.write(folder / METRICS, text.encode() + b"\n")


def read_report(folder: str | Path) -> Report:
    """What `write_report` wrote. Raises `UserError` if there is none."""
    told = _read(Path(folder) / METRICS)
    results = [
        TaskResult(
            name,
            task,
            asked,
            [_score(row) for row in told["sets"][name][task].values()],
            {
                protocol: {base: _score(row) for base, row in named.items()}
                for protocol, named in told["baselines"][name][task].items()
            },
            told["missing"][name][task],
        )
        for name, tasks in told["questions"].items()
        for task, asked in tasks.items()
    ]
    about = {name: value for name, value in told.items() if name not in ("format", *_RESULTS)}
    return Report(about, results)


def clear(folder: Path) -> None:
    """Removes what an evaluation wrote. What a judge was paid for stays."""
    for pattern in (METRICS, "predictions-*.jsonl", "outcomes-*.json"):
        for path in folder.glob(pattern):
            path.unlink()


def write_predictions(folder: Path, name: str, task: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes predictions-SET-TASK.jsonl."""
    whole.write(folder / f"predictions-{name}-{task}.jsonl", b"".join(to_json(row) + b"\n" for row in rows))


def write_outcomes(folder: Path, name: str, task: str, outcomes: Sequence[Outcomes]) -> None:
    """Writes outcomes-SET-TASK.json."""
    if not outcomes:
        return
    protocols = {
        one.protocol: {"counts": one.counts.tolist(), "unparsable": [int(u) for u in one.unparsable]}
        for one in outcomes
    }
    told = {"format": FORMAT, "set": name, "task": task, "ids": outcomes[0].ids, "images": outcomes[0].images}
    whole.write(folder / f"outcomes-{name}-{task}.json", to_json({**told, "protocols": protocols}) + b"\n")


def load_outcomes(folder: str | Path) -> dict[str, dict[str, Outcomes]]:
    """Set -> protocol -> outcomes, for `trainer.metrics.paired_difference` of two evaluations.

    Raises `UserError` if the folder has none.
    """
    found: dict[str, dict[str, Outcomes]] = {}
    for path in sorted(Path(folder).glob("outcomes-*.json")):
        told = _read(path)
        ids, images = tuple(told["ids"]), tuple(told["images"])
        for protocol, rows in told["protocols"].items():
            counts = np.array(rows["counts"], dtype=np.float64)
            unparsable = tuple(bool(u) for u in rows["unparsable"])
            outcomes = Outcomes(protocol, ids, images, counts, unparsable, statistic_of(protocol))
            found.setdefault(told["set"], {})[protocol] = outcomes
    if not found:
        raise UserError(f"{folder} has no outcomes of an evaluation. Run `pipeline eval`.")
    return found


def _plain(score: Score) -> dict[str, Any]:
    return {**asdict(score), "unparsable_rate": score.unparsable / score.n}


def _score(row: Mapping[str, Any]) -> Score:
    fields = {name: value for name, value in row.items() if name != "unparsable_rate"}
    interval = fields["interval"]
    return Score(**{**fields, "interval": interval and Interval(*interval)})


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} has no {path.name}. Run `pipeline eval`.") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}. Run `pipeline eval` again.") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise UserError(f"{path} was written by another version. Run `pipeline eval` again.")
    return told

"""The log of a training, `log.jsonl`, and its learning curve.

    {"step": 20, "samples": 1280, "loss": 1.83, "learning_rate": 0.001, "grad_norm": 0.7,
     "tokens": 40960, "left_out": 0,
     "bad": [{"key": "scene-00000012_1", "reason": "no answer within 64 tokens"}],
     "seconds": 3.1, "waited": 0.2}

`loss` is the mean over the steps since the line before; `tokens`, `bad` samples, answers `left_out` for
their samples' length, and `seconds` are counted since then. `waited` is how many of the seconds went by until
batches came. A line stands at every checkpoint, so that what comes after it does not depend on whether the
training was interrupted there.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gritmill.pipeline.storage import whole
from gritmill.schemas.errors import UserError

Line = dict[str, Any]
"""As above."""

_ENOUGH_SAMPLES = 200
"""Fewer say nothing about a share."""
_MOST_BAD = 0.1


class Log:
    """Appends to the log and knows how many samples of the training so far were bad."""

    def __init__(self, path: Path, step: int) -> None:
        """Goes on after `step`: what a log already there says of later steps is cut off."""
        lines = [line for line in read(path) if line["step"] <= step]
        text = "".join(_written(line) for line in lines)
        whole.write(path, text.encode())
        self.path = path

    def append(self, line: Line) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_written(line))
            file.flush()
            os.fsync(file.fileno())


class BadSamples:
    """Counts the samples that could not be trained on, and says when they are too many."""

    def __init__(self, lines: list[Line]) -> None:
        """Goes on from what the log says."""
        self.reasons: Counter[str] = Counter()
        self.examples: list[str] = []
        for line in lines:
            self.add(line["bad"])

    def add(self, bad: list[dict[str, str]]) -> None:
        self.reasons.update(sample["reason"] for sample in bad)
        named = [f"{sample['key']} ({sample['reason']})" for sample in bad]
        self.examples = (self.examples + named)[:3]

    def check(self, samples: int, at_the_end: bool) -> None:
        """Raises `UserError` where more than a tenth of the samples seen were bad."""
        count = self.reasons.total()
        if count > _MOST_BAD * samples and (at_the_end or samples >= _ENOUGH_SAMPLES):
            raise UserError(
                f"{count:,} of {samples:,} samples cannot be trained on, such as "
                f"{'; '.join(self.examples)}. Mend or leave out such samples; the log names all."
            )


def read(path: Path) -> list[Line]:
    """The lines of a log, none if there is none; one that a kill cut short is left out."""
    return list(_lines(path))


def _lines(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            return


def _written(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def learning_curve(lines: list[Line], points: int = 10) -> str:
    """The loss over the training as a Markdown table of about so many rows, from first to last line.

    | step | samples | loss | learning rate |
    |---:|---:|---:|---:|
    | 100 | 6,400 | 1.8312 | 0.001 |
    """
    rows = ["| step | samples | loss | learning rate |", "|---:|---:|---:|---:|"]
    stride = max(1, math.ceil(len(lines) / points))
    shown = lines[stride - 1 :: stride]
    if lines and (not shown or shown[-1] is not lines[-1]):
        shown.append(lines[-1])
    for line in shown:
        rows.append(
            f"| {line['step']:,} | {line['samples']:,} | {line['loss']:.4f} | {line['learning_rate']:.3g} |"
        )
    return "\n".join(rows) + "\n"


def bad_summary(lines: list[Line]) -> str | None:
    """`12 of 6,400 samples were left out: no answer within 64 tokens (9), cannot decode (3)`, or None."""
    bad = BadSamples(lines)
    if not bad.reasons:
        return None
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in bad.reasons.most_common(4))
    return f"{bad.reasons.total():,} of {lines[-1]['samples']:,} samples were left out: {reasons}"


def report(lines: list[Line]) -> str:
    """The training's `report.md`. No times: equal trainings give equal reports."""
    parts = ["# Training", learning_curve(lines)]
    if summary := bad_summary(lines):
        parts.append(f"{summary}. Each is named in log.jsonl.\n")
    if left_out := sum(line["left_out"] for line in lines):
        parts.append(f"{left_out:,} answers were left out, for they are beyond train.max_length.\n")
    return "\n\n".join(parts)

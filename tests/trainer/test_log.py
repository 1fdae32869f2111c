from pathlib import Path
from typing import Any

import pytest

from gritmill.schemas.errors import UserError
from gritmill.trainer.log import BadSamples, Log, bad_summary, learning_curve, read, report


def line(step: int, **more: Any) -> dict[str, Any]:
    told = {"step": step, "samples": step * 64, "loss": 4 / step, "learning_rate": 1e-3, "grad_norm": 1.0}
    return {**told, "tokens": 10, "left_out": 0, "bad": [], "seconds": 1.0, "waited": 0.1, **more}


def bad(count: int, reason: str = "image: broken") -> list[dict[str, str]]:
    return [{"key": f"k{i}", "reason": reason} for i in range(count)]


def test_a_log_goes_on_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, 0)
    for step in (10, 20, 30):
        log.append(line(step))
    with path.open("a") as file:
        file.write('{"step": 40, "loss"')

    assert [one["step"] for one in read(path)] == [10, 20, 30]
    Log(path, 20).append(line(25))
    assert [one["step"] for one in read(path)] == [10, 20, 25]
    Log(path, 0)
    assert read(path) == []


@pytest.mark.parametrize(
    "lines, steps",
    [
        ([], []),
        ([1], [1]),
        (range(1, 11), list(range(1, 11))),
        (range(1, 101), list(range(10, 101, 10))),
        (range(1, 26), [3, 6, 9, 12, 15, 18, 21, 24, 25]),
    ],
)
def test_a_curve_has_about_ten_points_and_the_last(lines: Any, steps: list[int]) -> None:
    rows = learning_curve([line(step) for step in lines]).splitlines()[2:]
    assert [int(row.split("|")[1]) for row in rows] == steps


def test_a_curve_is_a_table() -> None:
    assert learning_curve([line(100)]).splitlines()[-1] == "| 100 | 6,400 | 0.0400 | 0.001 |"


def test_a_report_tells_what_was_left_out() -> None:
    lines = [line(1, bad=bad(2)), line(2, bad=bad(1, "no answer within 9 tokens"), left_out=7)]
    told = "3 of 128 samples were left out: image: broken (2), no answer within 9 tokens (1)"
    assert bad_summary(lines) == told
    assert told in report(lines) and "7 answers were left out" in report(lines)
    assert bad_summary([line(1)]) is None and "left out" not in report([line(1)])


@pytest.mark.parametrize(
    "count, samples, at_the_end, too_many",
    [
        (19, 190, False, False),
        (100, 199, False, False),
        (21, 200, False, True),
        (20, 200, False, False),
        (2, 10, True, True),
        (1, 10, True, False),
        (0, 10, True, False),
    ],
)
def test_too_many_bad_samples(count: int, samples: int, at_the_end: bool, too_many: bool) -> None:
    counted = BadSamples([line(1, bad=bad(count))])
    if not too_many:
        counted.check(samples, at_the_end)
        return
    with pytest.raises(
        UserError, match=rf"{count} of {samples} samples cannot be trained on, such as k0 \(image"
    ):
        counted.check(samples, at_the_end)

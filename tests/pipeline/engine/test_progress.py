"""Progress: plain lines now and then, or a table on a terminal, with numbers that are true."""

import io
import re
from types import SimpleNamespace

import pytest

from gritmill.pipeline.engine import progress as progress_module
from gritmill.pipeline.engine.progress import Progress, _duration
from gritmill.pipeline.engine.receipts import Receipt, Total
from gritmill.pipeline.engine.terminal import Console


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def part_done(total: Total, rows: int = 10, dropped: int = 0, failed: int = 0) -> None:
    kept = rows - dropped - failed
    why = {"too_small": dropped} if dropped else {}
    raised = {"ValueError": failed} if failed else {}
    total.add(Receipt("ground", f"{total.parts}", rows, kept, why, raised, 1.0, {}, {}))


def plain() -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    return Progress(Console(file=out, width=200)), out


def test_lines_come_now_and_then_and_say_how_far_it_is(clock: Clock) -> None:
    progress, out = plain()
    total = Total()
    with progress:
        progress.begin("ground", 10, total)
        assert out.getvalue() == ""
        for _ in range(4):
            part_done(total, 10, dropped=1, failed=1)
            progress.update("ground")
            clock.now += 6
    assert out.getvalue().splitlines() == [
        "ground: 1 of 10 parts, 10 rows in, 8 kept",
        "ground: 3 of 10 parts, 30 rows in, 24 kept, 2 rows/s, 0m42s left",
    ]


def test_work_of_earlier_runs_is_told_and_not_counted_as_speed(clock: Clock) -> None:
    progress, out = plain()
    total = Total()
    for _ in range(1000):
        part_done(total)
    progress.begin("ground", 1200, total)
    part_done(total)
    progress.update("ground")
    clock.now += 20
    part_done(total)
    progress.update("ground")
    assert out.getvalue().splitlines() == [
        "ground: 1,000 of 1,200 already done",
        "ground: 1,001 of 1,200 parts, 10,010 rows in, 10,010 kept",
        "ground: 1,002 of 1,200 parts, 10,020 rows in, 10,020 kept, 0 rows/s, 1h06m left",
    ]


def test_a_step_that_is_done_or_not_begun_is_not_repeated(clock: Clock) -> None:
    progress, out = plain()
    first, second, third = Total(), Total(), Total()
    progress.begin("first", 1, first)
    progress.begin("second", 5, second)
    progress.begin("third", 5, third)
    part_done(first)
    progress.update("first")
    clock.now += 20
    part_done(second)
    progress.update("second")
    assert [line.partition(":")[0] for line in out.getvalue().splitlines()] == ["second"]


def test_text_is_never_taken_for_markup() -> None:
    progress, out = plain()
    progress.note("deciding [bold]over[/] {braces} s3://bucket[1]")
    assert out.getvalue() == "deciding [bold]over[/] {braces} s3://bucket[1]\n"


def test_a_terminal_gets_a_table(clock: Clock) -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=120, color_system=None))
    total = Total()
    with progress:
        progress.begin("ground", 4, total)
        for _ in range(3):
            part_done(total, 2000, dropped=500, failed=20)
            clock.now += 10
            progress.update("ground")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    header, *_, last = (line.split() for line in shown.splitlines() if line.strip())
    assert header == ["step", "parts", "in", "kept", "rejected", "failed", "rows/s", "left"]
    assert last == ["ground", "3/4", "6,000", "4,440", "1,500", "60", "200", "0m10s"]
    assert "rows in," not in shown  # the plain lines are for what is no terminal


def test_the_table_goes_when_the_run_fails(clock: Clock) -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=120))
    with pytest.raises(KeyboardInterrupt), progress:
        progress.begin("ground", 4, Total())
        raise KeyboardInterrupt
    assert "\x1b[?25h" in out.getvalue()  # the cursor is shown again
    assert progress._live is None


def test_all_parts_done_is_said_so(clock: Clock) -> None:
    progress, _ = plain()
    total = Total()
    progress.begin("ground", 1, total)
    part_done(total)
    progress.update("ground")
    assert progress._steps["ground"].left_text() == "done"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0m00s"), (59.9, "0m59s"), (61, "1m01s"), (3599, "59m59s"), (90_061, "25h01m")]
)
def test_times_read_well(seconds: float, text: str) -> None:
    assert _duration(seconds) == text

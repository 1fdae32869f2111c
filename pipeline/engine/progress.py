"""Live, honest progress: for each step the parts done, rows in, kept and dropped, rate, time left."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.table import Table

from gritmill.pipeline.engine.receipts import Total
from gritmill.pipeline.engine.terminal import Console

_PLAIN_SECONDS = 10.0


class Progress:
    """A table that is redrawn on a terminal, and a line now and then anywhere else."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._steps: dict[str, _StepProgress] = {}
        self._live: Live | None = None
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def begin(self, step: str, parts: int, total: Total) -> None:
        """A step starts; `total` already holds what earlier runs did and goes on being updated."""
        self._steps[step] = _StepProgress(parts, total)
        if total.parts:
            self.note(f"{step}: {total.parts:,} of {parts:,} already done")

    def update(self, step: str) -> None:
        """One more part of a step is done."""
        self._steps[step].touch()
        now = time.monotonic()
        if not self._live and now - self._last_line >= _PLAIN_SECONDS:
            self._last_line = now
            for name, progress in self._steps.items():
                if progress.is_active:
                    self.note(f"{name}: {progress.describe()}")

    def note(self, text: str) -> None:
        """A line above the table."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("step")
        for name in ("parts", "in", "kept", "rejected", "failed", "rows/s", "left"):
            table.add_column(name, justify="right")
        for name, progress in self._steps.items():
            total = progress.total
            table.add_row(
                name,
                f"{total.parts:,}/{progress.parts:,}",
                f"{total.rows_in:,}",
                f"{total.rows_out:,}",
                f"{total.rejected.total():,}",
                f"{total.failures:,}",
                progress.rate_text(),
                progress.left_text(),
            )
        return table


class _StepProgress:
    """One step's total, and how fast it has been growing in this run."""

    def __init__(self, parts: int, total: Total) -> None:
        self.parts = parts
        self.total = total
        self._parts_before, self._rows_before = total.parts, total.rows_in
        self._started: float | None = None
        self._latest = 0.0

    def touch(self) -> None:
        self._latest = time.monotonic()
        if self._started is None:
            # The clock starts with the first part done; its own time is not known here.
            self._started = self._latest
            self._parts_before, self._rows_before = self.total.parts, self.total.rows_in

    @property
    def is_active(self) -> bool:
        return self._started is not None and self.total.parts < self.parts

    def _speed(self, amount: int) -> float | None:
        elapsed = self._latest - (self._started or self._latest)
        return amount / elapsed if elapsed > 0 and amount else None

    def rate_text(self) -> str:
        rate = self._speed(self.total.rows_in - self._rows_before)
        return f"{rate:,.0f}" if rate else ""

    def left_text(self) -> str:
        missing = self.parts - self.total.parts
        rate = self._speed(self.total.parts - self._parts_before)
        if not missing:
            return "done"
        return _duration(missing / rate) if rate else ""

    def describe(self) -> str:
        total = self.total
        text = f"{total.parts:,} of {self.parts:,} parts, {total.rows_in:,} rows in, {total.rows_out:,} kept"
        rate, left = self.rate_text(), self.left_text()
        return text + (f", {rate} rows/s" if rate else "") + (f", {left} left" if left else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def training_line(line: Mapping[str, Any]) -> str:
    """A line of a training's log as it is printed: `step 1,000  loss 1.8312  learning rate 0.0019`."""
    text = f"step {line['step']:,}  loss {line['loss']:.4f}  learning rate {line['learning_rate']:.3g}"
    bad = f"  {len(line['bad']):,} bad" if line["bad"] else ""
    return text + bad

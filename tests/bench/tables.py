"""What the benchmarks share: peak memory, the machine's load, and a table."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table whose first column is names, and under it how busy the machine was."""
    table = Table(title=title, title_justify="left", caption=machine(), caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=120).print(table)


def machine() -> str:
    """`2 cores, load 0.9 1.2 1.0, Python 3.11.7`: a figure without it says little."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}, Python {platform.python_version()}"


class Peak:
    """The most memory that this process held since `start`, in bytes. Linux.

    peak = Peak()
    ...
    peak.bytes, peak.growth
    """

    def __init__(self) -> None:
        self._before = resident()
        Path("/proc/self/clear_refs").write_text("5")  # sets the kernel's high-water mark back

    @property
    def bytes(self) -> int:
        return status_bytes("VmHWM")

    @property
    def growth(self) -> int:
        """Above what was held before."""
        return max(0, self.bytes - self._before)


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process holds now."""
    return status_bytes("VmRSS", pid)


def status_bytes(field: str, pid: int | str = "self") -> int:
    """A size from a process's `/proc/PID/status`, in bytes; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)

"""Runs a command and watches it with all its children: wall time, CPU time, peak memory by role."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.tables import status_bytes

ROOT = Path(__file__).resolve().parents[2]
EVERY = 0.05
"""Seconds between two looks: a child that ends between them is missed by that much."""


@dataclass
class Usage:
    """What a command took. Roles are `driver` (the process itself), `worker` (Ray's actors and
    workers) and `ray` (its services)."""

    wall: float = 0.0
    cpu_of: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """CPU seconds, all processes of a role together."""
    peak_of: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Bytes, the largest process of a role."""

    @property
    def cpu(self) -> float:
        return sum(self.cpu_of.values())


def watched(command: Sequence[str], python: str = sys.executable) -> Usage:
    """Runs `python ...`, which finds the project's modules. Raises `RuntimeError` if it fails."""
    usage, seconds = Usage(), {}
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": "local",  # a Ray of its own, even if somebody has started one here
        # Ray's workers give way to everything else; on a busy machine that compares nothing.
        "RAY_worker_niceness": "0",
    }
    start = time.perf_counter()
    output = tempfile.TemporaryFile()  # noqa: SIM115 (a pipe that nobody reads would fill up)
    process = psutil.Popen([python, *command], stdout=output, stderr=subprocess.STDOUT, env=environment)
    while process.poll() is None:
        for one in [process, *children(process)]:
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                role = role_of(one, process)
                seconds[one.pid, role] = times.user + times.system
                usage.peak_of[role] = max(usage.peak_of[role], status_bytes("VmHWM", one.pid))
        time.sleep(EVERY)
    usage.wall = time.perf_counter() - start
    if process.returncode:
        output.seek(0)
        raise RuntimeError(f"{' '.join(command)} failed:\n{output.read().decode()}")
    for (_, role), value in seconds.items():
        usage.cpu_of[role] += value
    return usage


def children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def role_of(one: psutil.Process, driver: psutil.Process) -> str:
    if one.pid == driver.pid:
        return "driver"
    return "worker" if "ray::" in " ".join(one.cmdline()[:1]) else "ray"

"""Kills a run while a global stage sketches, decides and processes; what comes out must not show it."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

SOURCE = "type: scenes, count: 120, part_size: 10"
OUTPUT = "shard_size: 100KB"


def start(recipe: Path, runner: str = "local") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gritmill.pipeline.cli", "run", str(recipe), "--runner", runner],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "SLOW_DEDUP": str(recipe.parent / "doing")},
    )


def sums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "recipe.yaml"
    }


@pytest.mark.parametrize("runner", ["local", "ray"])
@pytest.mark.timeout(1200)
def test_killed_in_each_of_its_steps_a_global_stage_gives_the_same_bytes(
    runner: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    stages = ["image_check", "slow_dedup:SlowPerceptualImages"]
    calm = write_recipe(SOURCE, stages, output=OUTPUT, folder="calm")
    assert start(calm).wait() == 0
    (tmp_path / "doing").unlink()
    recipe = write_recipe(SOURCE, stages, output=OUTPUT, folder="out")
    for step in ("sketch", "decide", "process"):
        kill_in(recipe, step, runner)
        assert not list((tmp_path / "out").glob("data/*.tar"))
    [folder] = (tmp_path / "out.work").glob("slow_dedup*.sketch-*")
    sketched = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    process = start(recipe, runner)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")} == sketched
    assert sums(tmp_path / "out") == sums(tmp_path / "calm")


def kill_in(recipe: Path, step: str, runner: str) -> None:
    """Runs until the stage is in the middle of a step, for the second time where there are several parts."""
    doing = recipe.parent / "doing"
    process = start(recipe, runner)
    wanted = 1 if step == "decide" else 2
    while process.poll() is None:
        if doing.exists() and doing.read_text().split().count(step) >= wanted:
            kill_all(psutil.Process(process.pid))
        time.sleep(0.01)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL, said
    doing.unlink()


def kill_all(process: psutil.Process) -> None:
    """The process and all that it started: those of Ray, too, and its workers."""
    tree = [process, *process.children(recursive=True)]
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(tree[1:])

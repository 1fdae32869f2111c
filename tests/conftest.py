"""What all tests share."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from gritmill.schemas import public

ROOT = Path(__file__).parent.parent
SUPPORT = ROOT / "tests" / "support"
SHARED = ROOT.parent / "shared"

# Stages of the tests' own are named in recipes as `odd_stages:Class`.
sys.path.insert(0, str(SUPPORT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# The same examples each time: what fails once, fails again.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test's recipe hides is hidden in that test only."""
    monkeypatch.setattr(public, "_hidden", {})
    public.hide({})


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """Eighty photographs of COCO with human captions and boxes."""
    folder = SHARED / "data" / "coco_mini"
    if not folder.is_dir():
        pytest.skip("needs the photographs of coco_mini, which lie beside the project and are not here")
    return folder


@pytest.fixture(scope="session")
def yolox_nano() -> Path:
    """A real detector of COCO's categories."""
    path = SHARED / "models" / "yolox_nano.onnx"
    if not path.is_file():
        pytest.skip("needs yolox_nano.onnx, which lies beside the project and is not here")
    return path


def _listed(stages: list[str]) -> list[str]:
    return ["stages:", *(f"  - {stage}" for stage in stages)] if stages else ["stages: []"]


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe into the test's folder; its output goes there, too."""

    def write(
        source: str,
        stages: list[str],
        name: str = "test",
        output: str = "shard_size: 1GB",
        extra: str = "",
        folder: str = "out",
    ) -> Path:
        path = tmp_path / f"{name}.yaml"
        lines = [f"name: {name}", f"source: {{{source}}}", *_listed(stages)]
        lines += [f"output: {{dir: {tmp_path / folder}, {output}}}", extra]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `pipeline` as a user would, in a process of its own."""

    def call(*arguments: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gritmill.pipeline.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "COLUMNS": "120", **env},
            timeout=300,
        )

    return call


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which builds wheels")
    folder = tmp_path_factory.mktemp("wheel")
    [built] = builders.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, without what it depends on, was installed to."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True, capture_output=True)
    return target

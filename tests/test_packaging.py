"""The wheel, installed as a user installs it, and names that others may have taken."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which builds wheels")
    folder = tmp_path_factory.mktemp("wheel")
    [built] = builders.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel, without what it depends on, was installed to."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            target,
            wheel,
        ],
        check=True,
        capture_output=True,
    )
    return target


def test_the_wheel_holds_what_the_checkout_does_and_nothing_else(wheel: Path) -> None:
    wanted = {
        f"gritmill/{path.relative_to(ROOT).as_posix().removeprefix('gritmill/')}"
        for folder in ("gritmill", "pipeline", "prompts", "recipes", "schemas", "stages", "trainer")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".txt", ".yaml", ".css", ".html", ".js", ".typed")
    }
    inside = {"pipeline/cli.py", "prompts/abstract_nouns.txt", "recipes/grit.yaml", "__init__.py", "py.typed"}
    assert {f"gritmill/{name}" for name in inside} <= wanted
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        [entry_points] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        scripts = [f"{name} = gritmill.pipeline.cli:main" for name in ("gritmill", "pipeline")]
        assert archive.read(entry_points).decode().splitlines() == ["[console_scripts]", *scripts]
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert set(names) == wanted
    assert len(names) == len(wanted)


def test_recipes_is_a_folder_and_no_package() -> None:
    assert not (ROOT / "recipes" / "__init__.py").exists()


def test_an_installed_gritmill_runs_its_recipes_from_anywhere(installed: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}
    where = [sys.executable, "-c", "import gritmill.pipeline as p; print(p.__file__)"]
    found = subprocess.run(where, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == installed / "gritmill" / "pipeline" / "__init__.py"
    options = ["--runner", "local", "--set", "source.count=6", "--set", "output.dir=made here"]
    done = subprocess.run(
        [sys.executable, "-m", "gritmill.pipeline.cli", "run", "quickstart", *options],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "report: made here/report.md" in done.stdout
    assert (tmp_path / "made here" / "SHA256SUMS").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made here", "made here.work"]

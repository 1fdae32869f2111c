"""The wheel, installed as a user installs it, and names that others may have taken."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.packaging import PACKAGES, check_import_names
from schemas.errors import UserError

ROOT = Path(__file__).parents[2]

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
    packages = [*PACKAGES, "recipes"]
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".txt", ".yaml", ".css", ".html", ".js")
    }
    assert {"pipeline/cli.py", "prompts/abstract_nouns.txt", "recipes/grit.yaml"} <= wanted
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        [entry_points] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert archive.read(entry_points).decode().split() == [
            "[console_scripts]",
            "pipeline",
            "=",
            "pipeline.cli:main",
        ]
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert set(names) == wanted
    assert len(names) == len(wanted)


def test_recipes_is_a_folder_and_no_package() -> None:
    assert not (ROOT / "recipes" / "__init__.py").exists()


def test_an_installed_gritmill_runs_its_recipes_from_anywhere(installed: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}
    where = [sys.executable, "-c", "import pipeline, recipes; print(pipeline.__file__)"]
    found = subprocess.run(where, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == installed / "pipeline" / "__init__.py"
    options = ["--runner", "local", "--set", "source.count=6", "--set", "output.dir=made here"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", "quickstart", *options],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "report: made here/report.md" in done.stdout
    assert (tmp_path / "made here" / "SHA256SUMS").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made here", "made here.work"]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is looked in before ours, with no memory of an earlier check."""
    monkeypatch.syspath_prepend(tmp_path)
    check_import_names.cache_clear()
    yield tmp_path
    check_import_names.cache_clear()


def test_our_own_names_lead_to_us(fresh: Path) -> None:
    check_import_names()


@pytest.mark.parametrize("name", PACKAGES)
def test_another_package_of_our_name_is_refused_with_a_sentence(
    name: str, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fresh / name).mkdir()
    (fresh / name / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UserError) as caught:
        check_import_names()
    assert f"the import name '{name}' leads to {fresh} and not to gritmill in {ROOT}" in str(caught.value)
    assert "Uninstall the other package" in str(caught.value)


def test_a_single_file_of_our_name_is_refused_too(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "trainer.py").touch()
    monkeypatch.delitem(sys.modules, "trainer", raising=False)
    with pytest.raises(UserError, match="the import name 'trainer' leads to"):
        check_import_names()


def test_a_run_does_not_begin_with_a_stranger_s_package(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").touch()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", "quickstart", "--runner", "local"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the import name 'trainer' leads to")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trainer"]

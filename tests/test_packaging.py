"""The wheel, installed as a user installs it, and names that others may have taken."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(300)


def test_the_wheel_holds_what_the_checkout_does_and_nothing_else(wheel: Path) -> None:
    wanted = {
        f"gritmill/{path.relative_to(ROOT).as_posix().removeprefix('gritmill/')}"
        for folder in ("gritmill", "pipeline", "prompts", "recipes", "schemas", "stages", "trainer")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".txt", ".yaml", ".css", ".html", ".js", ".lock", ".typed")
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


FOREIGN = ("pipeline", "prompts", "recipes", "schemas", "stages", "trainer")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a project whose packages are called as our folders are."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("foreign")
    for name in FOREIGN:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"WHOSE = 'foreign {name}'\n")
        (folder / name / "base.py").write_text("WHOSE = 'foreign'\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "foreign-things"\nversion = "1"\n'
        f"[tool.hatch.build.targets.wheel]\npackages = {list(FOREIGN)}\n"
    )
    [built] = WheelBuilder(str(folder)).build(directory=str(folder / "dist"), versions=["standard"])
    return Path(built)


class Environment:
    """A virtual environment with what we depend on, in which wheels come and go."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        [site] = (folder / "lib").glob("python3*/site-packages")
        others = [path for path in sys.path if path.endswith("site-packages")]
        (site / "others.pth").write_text("\n".join(others))

    def pip(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", self.python, "--quiet", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def install(self, wheel: Path) -> None:
        self.pip("install", "--no-deps", "--no-index", wheel)

    def run(self, *arguments: str | Path, cwd: Path) -> str:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [self.python, *arguments]
        done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def check_ours(environment: Environment, folder: Path) -> None:
    """A run by the installed program."""
    out = folder / "made"
    options = ["--set", "source.count=3", "--set", f"output.dir={out}", "--work", str(folder / "work")]
    command = ["-m", "gritmill", "run", "quickstart", "--runner", "local", "--replace", *options]
    assert f"report: {out}/report.md" in environment.run(*command, cwd=folder)


def check_foreign(environment: Environment, folder: Path) -> None:
    code = (
        f"import {', '.join(FOREIGN)}, stages.base; print(stages.base.WHOSE, pipeline.WHOSE, schemas.WHOSE)"
    )
    said = environment.run("-c", code, cwd=folder)
    assert said == "foreign foreign pipeline foreign schemas\n"


@pytest.mark.slow
@pytest.mark.parametrize("ours_first", [True, False])
def test_a_wheel_with_the_same_names_does_no_harm(
    ours_first: bool, wheel: Path, foreign: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "venv")
    for one in (wheel, foreign) if ours_first else (foreign, wheel):
        environment.install(one)
    check_ours(environment, tmp_path)
    check_foreign(environment, tmp_path)
    for first, second in (("stages.base", "gritmill.stages.base"), ("gritmill.stages.base", "stages.base")):
        code = f"import {first}, {second}; print(stages.base.WHOSE, gritmill.stages.base.Stage.__module__)"
        assert environment.run("-c", code, cwd=tmp_path) == "foreign gritmill.stages.base\n"

    environment.pip("uninstall", "--yes", "foreign-things")
    check_ours(environment, tmp_path)
    environment.install(foreign)
    environment.pip("uninstall", "--yes", "gritmill")
    check_foreign(environment, tmp_path)


@pytest.mark.slow
def test_examples_are_clean_to_a_users_strict_mypy(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(wheel)
    where = environment.run("-c", "import gritmill; print(gritmill.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path / "venv"))
    shutil.copytree(ROOT / "examples", tmp_path / "mine")
    (tmp_path / "mine" / "wrong.py").write_text(
        "from gritmill import Nothing, Reject, load_recipe\n\njob: int = load_recipe('grit')\nReject(1)\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment.python), "."]
    done = subprocess.run(command, env=env, cwd=tmp_path / "mine", capture_output=True, text=True)
    mistakes = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(mistakes) == 3, done.stdout + done.stderr
    assert all(line.startswith("wrong.py:") for line in mistakes), done.stdout


@pytest.mark.parametrize(
    "statement",
    ["import stages", "import schemas.boxes", "from pipeline.engine import run", "import recipes as r"],
)
def test_a_bare_import_of_a_folder_is_a_lint_error(statement: str) -> None:
    command = ["ruff", "check", "--select", "TID251", "--stdin-filename", "stages/mine.py", "-"]
    done = subprocess.run(
        [sys.executable, "-m", *command], input=f"{statement}\n", cwd=ROOT, capture_output=True, text=True
    )
    assert "TID251" in done.stdout, done.stderr
    assert "the name alone may be that of another package" in done.stdout


@pytest.mark.parametrize("runner", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_folder_with_packages_of_the_same_names_does_no_harm(
    installed: Path, tmp_path: Path, runner: str
) -> None:
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is somebody else')\n")
    env = {**os.environ, "PYTHONPATH": str(installed)}
    options = ["--runner", runner, "--set", "source.count=6", "--set", "output.dir=made"]
    done = subprocess.run(
        [sys.executable, "-m", "gritmill", "run", "quickstart", *options],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "SHA256SUMS").is_file()

"""The examples of CONTRIBUTING.md work where gritmill is installed and they lie in a folder of a user's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gritmill import DIALECTS, open_dataset

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

Run = Callable[..., str]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Run:
    """Runs Python in a folder of pictures, with gritmill and the examples as a user has them."""
    mine = tmp_path / "mine"
    shutil.copytree(EXAMPLES, mine)
    here = tmp_path / "here"
    here.mkdir()
    captions = [
        "a red dog in a green field",
        "dog",
        "A WHITE CAT ON A CHAIR",
        "",
        "two birds on a black branch",
    ]
    for number in range(len(captions)):
        Image.new("RGB", (64 + number, 48), (40 * number, 90, 20)).save(here / f"{number}.png")
    lines = [f"{number}.png\t{caption}\n" for number, caption in enumerate(captions)]
    (here / "lines.tsv").write_text("".join(lines))
    path = os.pathsep.join([str(installed), str(mine)])
    env = {**os.environ, "PYTHONPATH": path, "COLUMNS": "150", "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_contributing_shows_the_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r"```(?:python|yaml)\n(.*?)```", text, re.DOTALL)
    files = [path for path in sorted(EXAMPLES.iterdir()) if path.suffix in (".py", ".yaml")]
    assert len(files) >= 9
    assert sorted(shown) == sorted(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("runner", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_recipe_of_examples_runs(python: Run, tmp_path: Path, runner: str) -> None:
    said = python("-m", "gritmill", "run", "../mine/recipe.yaml", "--runner", runner)
    assert "2 samples in 1 shards: out" in said
    for reason in ("no_caption 1", "too_short 1", "shouted 1"):
        assert reason in said
    samples = list(open_dataset(tmp_path / "here" / "out"))
    captions = ["a red dog in a green field", "two birds on a black branch"]
    assert [sample.caption for sample in samples] == captions
    assert {box.model for sample in samples for box in sample.boxes} == {"whole_image"}
    assert {tuple(box.box) for sample in samples for box in sample.boxes} == {(0, 0, 1, 1)}
    assert [sample.measured for sample in samples] == [
        {"words": 7, "capitals": 0.0},
        {"words": 6, "capitals": 0.0},
    ]
    [table] = (tmp_path / "here" / "out" / "captions").iterdir()
    lines = [f"{sample.key},{sample.caption},{len(sample.boxes)}" for sample in samples]
    assert table.read_text().splitlines() == lines
    sums = (tmp_path / "here" / "out" / "SHA256SUMS").read_text()
    assert f"captions/{table.name}" in sums


def test_commands_take_them_by_name(python: Run) -> None:
    said = python("-m", "gritmill", "stages", "caption_length:CaptionLength")
    assert "min_words" in said and "Fewest words that a caption may have." in said
    assert "The file." in python("-m", "gritmill", "stages", "lines:LinesSource")
    options = ["--set", "source.count=6", "--try", "annotations", "--try", "whole_image:WholeImage"]
    said = python("-m", "gritmill", "compare-grounders", "quickstart", *options)
    assert re.search(r"^whole_image ", said, re.MULTILINE)


def test_the_example_of_a_test_passes(python: Run) -> None:
    assert "1 passed" in python("-m", "pytest", "-p", "no:cacheprovider", "../mine/test_caption_length.py")


def test_the_example_of_a_dialect_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    assert DIALECTS["pink:PINK"] == DIALECTS["pink"]


def test_the_example_of_a_family_speaks_to_a_model(python: Run) -> None:
    said = python(
        "-c",
        "from types import SimpleNamespace as Any\n"
        "from gritmill import DIALECTS\n"
        "from gritmill.trainer.models.registry import family_adapter\n"
        "family = family_adapter('parrot:ParrotAdapter', 'parrot')\n"
        "adapter = family(Any(tokenizer=Any(eos_token='</s>')), DIALECTS['shikra'], 64)\n"
        "turns = [('human', '<image>Where is the dog?'), ('assistant', 'There.')]\n"
        "print(''.join(segment.text for segment in adapter.segments(turns)))",
    )
    assert said == "Q: <image>Where is the dog? A: There.</s>\n"

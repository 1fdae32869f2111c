"""What is finished in an output folder stays, unless it is told what takes its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gritmill.pipeline.engine.finish import SOURCE
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

Write = Callable[..., Path]
STAGES = ["image_check: {min_side: 8}"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for folder in ("photos", "others"):
        (tmp_path / folder).mkdir()
        for i in range(6):
            Image.new("RGB", (20 + i, 20 + i)).save(tmp_path / folder / f"{i}.png")
            (tmp_path / folder / f"{i}.txt").write_text(f"a dog\na dog in a field {i}")
    return tmp_path


def go(recipe: Path, *overrides: str, limit: int | None = None, replace: bool = False) -> None:
    job = load_recipe(str(recipe), overrides)
    run(job, Store(f"{job.output.dir}.work"), LocalRunner(), Progress(), limit, replace)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def samples(out: Path) -> int:
    return int(json.loads((out / "stats.json").read_text())["splits"]["train"]["samples"])


@pytest.mark.parametrize("is_recorded", [True, False], ids=["", "made before digests were recorded"])
@pytest.mark.parametrize(
    ("changes", "limit", "message"),
    [
        (["source.path={photos}/others"], None, "holds a finished dataset of 6 samples from another source"),
        (["source.per=image"], None, "from another source"),
        (["source={type: scenes, count: 3}"], None, "from another source"),
        ([], 4, "6 samples, and --limit 4 takes fewer of the source than it was made from"),
        (["name=yours"], None, "holds the dataset of another recipe, 'mine'"),
        ([], 6, None),
        (["stages.image_check.min_side=22"], None, None),
        (["source.part_size=2"], None, None),
        (["source.path={photos}/./photos/"], None, None),
        (["output.formats=[parquet]"], None, None),
    ],
)
def test_another_dataset_is_refused_and_an_edited_one_is_not(
    changes: list[str],
    limit: int | None,
    message: str | None,
    is_recorded: bool,
    photos: Path,
    write_recipe: Write,
) -> None:
    for path in photos.glob("*/*.txt"):
        path.write_text("a dog")
    recipe = write_recipe(f"type: folder, path: {photos}/photos", STAGES, "mine")
    go(recipe)
    out = photos / "out"
    if not is_recorded:
        (out / SOURCE).unlink()
    before = contents(out)
    overrides = [change.replace("{photos}", str(photos)) for change in changes]
    if message is None:
        go(recipe, *overrides, limit=limit)
        return
    with pytest.raises(UserError) as caught:
        go(recipe, *overrides, limit=limit)
    assert message in str(caught.value)
    assert str(caught.value).endswith("; choose another output.dir, or replace it with --replace")
    assert contents(out) == before
    go(recipe, *overrides, limit=limit, replace=True)
    assert (out / SUMS).exists()
    go(recipe, *overrides, limit=limit)  # it is this one's now


def test_new_and_changed_files_of_the_source_are_no_question(photos: Path, write_recipe: Write) -> None:
    recipe = write_recipe(f"type: folder, path: {photos}/photos", STAGES)
    go(recipe)
    shutil.copy(photos / "photos" / "1.png", photos / "photos" / "7.png")
    (photos / "photos" / "7.txt").write_text("a cat")
    (photos / "photos" / "1.txt").unlink()
    go(recipe)


def test_a_limited_dataset_says_so_and_may_grow(write_recipe: Write, tmp_path: Path) -> None:
    recipe, out = write_recipe("type: scenes, count: 20", STAGES), tmp_path / "out"
    go(recipe, limit=5)
    assert samples(out) == json.loads((out / "stats.json").read_text())["limit"] == 5
    assert "Only the first 5 samples of the source were taken" in (out / "report.md").read_text()
    go(recipe, limit=9)
    assert samples(out) == 9
    with pytest.raises(UserError, match="finished dataset of 9 samples, and --limit 5"):
        go(recipe, limit=5)
    go(recipe)
    assert samples(out) == 40 and "limit" not in json.loads((out / "stats.json").read_text())
    assert "Only the first" not in (out / "report.md").read_text()


def test_what_is_not_finished_is_nobody_s_loss(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe("type: scenes, count: 6", STAGES)
    go(recipe)
    (tmp_path / "out" / SUMS).unlink()
    go(recipe, limit=3)
    assert samples(tmp_path / "out") == 3


def test_a_replacement_that_comes_to_nothing_replaces_nothing(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe("type: scenes, count: 6", STAGES)
    go(recipe)
    before = contents(tmp_path / "out" / "data")
    with pytest.raises(UserError, match="no sample is left"):
        go(recipe, "source.seed=1", "stages.image_check.min_side=5000", replace=True)
    assert contents(tmp_path / "out" / "data") == before


def test_the_folder_tells_nothing_of_the_source_but_a_digest(photos: Path, write_recipe: Write) -> None:
    recipe = write_recipe(f"type: folder, path: {photos}/photos", STAGES)
    go(recipe)
    said = (photos / "out" / SOURCE).read_text()
    assert len(bytes.fromhex(said.strip())) == 32 and said.endswith("\n")


@pytest.mark.parametrize("stats", ["", "{}", "[]", '{"funnel": []}'])
def test_a_dataset_whose_numbers_are_lost_is_not_made_smaller(
    stats: str, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe("type: scenes, count: 6", STAGES)
    go(recipe)
    (tmp_path / "out" / "stats.json").write_text(stats)
    with pytest.raises(UserError, match="--limit 500 takes fewer"):
        go(recipe, limit=500)


def test_the_command_says_what_it_replaces(
    cli: Callable[..., object], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe("type: scenes, count: 6", STAGES)
    go(recipe)
    refused = cli("run", recipe, "--runner", "local", "--limit", 2)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr  # type: ignore[attr-defined]
    done = cli("run", recipe, "--runner", "local", "--limit", 2, "--replace")
    assert done.returncode == 0  # type: ignore[attr-defined]
    said = done.stdout + done.stderr  # type: ignore[attr-defined]
    assert "holds a finished dataset of 12 samples, and --limit 2 takes fewer" in said
    assert "it will be replaced" in said and samples(tmp_path / "out") == 2

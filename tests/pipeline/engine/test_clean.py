"""Work folders of another scheme, what is removed of them, and why a step would run again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.engine.clean import clean
from gritmill.pipeline.engine.last_run import SCHEME_FILE
from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.reasons import reasons
from gritmill.pipeline.engine.recipes import Job, load_recipe
from gritmill.pipeline.engine.run import limited, run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.steps_lock import LOCK, Line
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

STAGES = ["image_check: {min_side: 32}", "caption_check"]
SIDE = "stages.image_check.min_side=33"


@pytest.fixture
def recipe(write_recipe: Callable[..., Path]) -> str:
    return str(write_recipe("type: scenes, count: 6, size: 64", STAGES))


def done(recipe: str, *overrides: str) -> tuple[Job, Store]:
    job = load_recipe(recipe, overrides)
    work = Store(work_directory(job, None))
    run(job, work, LocalRunner(), Progress(), replace=True)
    return job, work


def why(recipe: str, work: Store, *overrides: str) -> dict[str, str]:
    job = load_recipe(recipe, overrides)
    return reasons(make_plan(job, Parts.of(limited(job, None))), work)


FOLLOWS = dict.fromkeys(("image_check", "caption_check", "shards", "write"), "the steps before it")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (SIDE, FOLLOWS | {"image_check": "min_side 32 -> 33"}),
        ("source.seed=1", FOLLOWS | {"source": "seed 0 -> 1", "shards": "the parts of the source"}),
        ("source.per=image", FOLLOWS | {"source": "per caption -> image"}),
        ("output.formats=[coco]", {"write": 'formats ["webdataset"] -> ["coco"]'}),
        ("output.splits.test=0.5", {"shards": "test 0.0 -> 0.5", "write": "the steps before it"}),
        ("output.dir=elsewhere", {}),
    ],
)
def test_why_a_step_runs_again(recipe: str, override: str, expected: dict[str, str]) -> None:
    _, work = done(recipe, "output.formats=[webdataset]")
    overrides = [override] if "formats" in override else ["output.formats=[webdataset]", override]
    assert why(recipe, work, *overrides) == expected


def test_a_version_or_code_is_named(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = "gritmill.stages.image_check:ImageCheck"
    version, digest = LOCK[target]
    _, work = done(recipe)
    monkeypatch.setitem(LOCK, target, Line("2", digest))
    assert why(recipe, work)["image_check"] == f"version of ImageCheck {version} -> 2"
    # As if the code had been another one in the last run.
    monkeypatch.setitem(LOCK, target, Line(version, "old"))
    [path] = Path(work.root).glob("image_check-*/identity.json")
    name = f"{target}.process"
    path.write_text(path.read_text().replace(f'"{name}": "', f'"{name}": "0'))
    assert why(recipe, work)["image_check"] == "code of stages/image_check.py: ImageCheck.process"


def test_what_is_new_or_gone_is_said(recipe: str, write_recipe: Callable[..., Path]) -> None:
    _, work = done(recipe)
    source = "type: scenes, count: 6, size: 64"
    other = str(write_recipe(source, [*STAGES, "caption_conversations"], name="other"))
    assert why(other, work)["caption_conversations"] == "it was not in the last run"
    work.remove_folder(next(name for name in work.folders() if name.startswith("image_check")))
    assert why(other, work, SIDE)["image_check"] == "its last results are gone"


def test_before_the_first_run_there_is_nothing_to_say(recipe: str, tmp_path: Path) -> None:
    assert why(recipe, Store(str(tmp_path / "none"))) == {}


def names(work: Store) -> set[str]:
    return {name.rpartition("-")[0] for name in work.folders()}


def test_only_what_no_step_uses_is_removed(recipe: str) -> None:
    job, work = done(recipe)
    first = work.folders()
    assert clean(job, work) == []
    other, _ = done(recipe, SIDE)
    removed = clean(other, work)
    assert {one.name for one in removed} == {name for name in first if not name.startswith("source")}
    assert all(one.files and one.bytes for one in removed)
    assert clean(other, work) == []
    assert why(recipe, work, SIDE) == {}


def test_a_result_fed_by_another_is_removed(recipe: str) -> None:
    job, work = done(recipe)
    first = work.folders()
    done(recipe, "source.seed=1")
    clean(job, work)
    assert work.folders() == first


@pytest.mark.parametrize("scheme", [None, b"1"], ids=["none", "older"])
def test_a_folder_of_another_scheme_is_refused_until_it_is_cleaned(recipe: str, scheme: Any) -> None:
    job, work = done(recipe)
    work.remove(SCHEME_FILE)
    if scheme:
        work.write(SCHEME_FILE, scheme)
    before = sorted(path for path in Path(work.root).rglob("*") if path.is_file())
    with pytest.raises(UserError, match="another version of gritmill.*`pipeline clean RECIPE`.*--work"):
        run(job, work, LocalRunner(), Progress())
    assert sorted(path for path in Path(work.root).rglob("*") if path.is_file()) == before
    assert len(clean(job, work)) == 7
    assert work.folders() == [] and work.names() == ["lock"]
    run(job, work, LocalRunner(), Progress())


def test_the_command_asks_nothing_and_says_what_it_removed(recipe: str, cli: Callable[..., Any]) -> None:
    _, work = done(recipe)
    path = Path(recipe)
    # A model of the hub that is not here: whoever asked for it would be refused.
    model = "ground: {grounder: transformers, model: no/where}"
    path.write_text(path.read_text().replace("caption_check", model))
    said = cli("clean", recipe)
    assert said.returncode == 0, said.stderr
    assert "removed caption_check-" in said.stdout and "MB removed" in said.stdout
    assert "removed image_check" not in said.stdout and "image_check" in names(work)
    assert "there is nothing to remove" in cli("clean", recipe).stdout

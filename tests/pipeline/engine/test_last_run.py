"""What a run kept and dropped is found after the code has changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine import plan as planning
from gritmill.pipeline.engine.last_run import last_run
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.steps_lock import LOCK, Line
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def test_the_last_run_is_found_when_the_code_has_changed(
    write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = load_recipe(str(write_recipe("type: scenes, count: 12, size: 64", ["image_check"])))
    work = Store(work_directory(job, None))
    done = run(job, work, LocalRunner(), Progress())
    for target, line in LOCK.items():
        monkeypatch.setitem(LOCK, target, Line("another", line.digest))
    found = last_run(work)
    assert [step.folder for step in found.steps] == [step.folder for step in done.plan.steps]
    anew = planning.make_plan(job, done.plan.parts)
    assert not {step.folder for step in anew.steps} & {step.folder for step in found.steps}


def test_without_a_run_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run; `pipeline run RECIPE` makes one"):
        last_run(Store(str(tmp_path / "x.work")))

"""How far a run is, from nothing to done, without touching anything."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gritmill.pipeline.engine.plan import Parts, Plan, Resources, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.status import StepStatus, status
from gritmill.pipeline.storage.store import Store

STEPS = ["source", "image_check", "caption_check", "first", "shards", "write"]


@pytest.fixture
def plan(write_recipe: Callable[..., Path]) -> Plan:
    stages = ["image_check", "caption_check: {min_words: 6}", "odd_stages:FirstOfEachImage: {as: first}"]
    recipe = write_recipe("type: scenes, count: 12, part_size: 3", stages, output="shard_size: 20KB")
    job = load_recipe(str(recipe))
    return make_plan(job, Parts.of(job.source.parts()))


@pytest.fixture
def work(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out.work"))


def seen(plan: Plan, work: Store) -> dict[str, StepStatus]:
    """By step; fails if the look changes anything."""
    root = Path(work.root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    found = status(plan, work)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert [step.name for step in found] == STEPS
    return {step.name: step for step in found}


def test_before_a_run_nothing_is_done_and_shards_are_not_known(plan: Plan, work: Store) -> None:
    found = seen(plan, work)
    assert [step.done for step in found.values()] == [0] * len(STEPS)
    assert [step.units for step in found.values()] == [4, 4, 4, 4, 4, None]
    assert all(step.total.rows_in == 0 for step in found.values())
    assert found["caption_check"].versions.keys() == {"boilerplate", "unicode"}
    assert found["source"].resources == Resources(1, 0)


def test_after_a_run_all_is_done_and_the_funnel_is_the_run_s(plan: Plan, work: Store) -> None:
    finished = run(plan.job, work, LocalRunner(), Progress())
    found = seen(plan, work)
    for name, step in found.items():
        assert step.done == step.units == step.total.parts
        # Seconds are floats, and their sum depends on the order of the parts.
        assert replace(step.total, seconds=0) == replace(finished.totals[name], seconds=0)
        assert step.total.seconds == pytest.approx(finished.totals[name].seconds)
    assert found["write"].units == len(finished.shards) > 1
    assert found["source"].total.rows_in == 24
    assert found["first"].total.rejected["not_first"] > 0


def test_what_is_missing_is_counted_as_missing(plan: Plan, work: Store) -> None:
    run(plan.job, work, LocalRunner(), Progress())
    before = seen(plan, work)
    step = next(step for step in plan.steps if step.name == "caption_check")
    lost = plan.parts[2].id
    work.remove(step.result(lost))
    after = seen(plan, work)
    assert after["caption_check"].done == 3
    assert after["caption_check"].total.rows_in == before["caption_check"].total.rows_in - 6
    assert after["image_check"] == before["image_check"]

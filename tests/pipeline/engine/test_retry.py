"""What failed for a passing reason is tried again, and nothing else is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine.plan import Parts, Plan, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.retry import Forgotten, forget
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

Write = Callable[..., Path]


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("is_global_before", [False, True])
def test_a_server_that_is_up_again(
    write_recipe: Write, tmp_path: Path, raises: bool, is_global_before: bool
) -> None:
    up, work = tmp_path / "up", Store(str(tmp_path / "out.work"))
    stages = [
        "image_check",
        *(["odd_stages:FirstOfEachImage: {as: first}"] if is_global_before else []),
        f"odd_stages:NeedsServer: {{as: asks, up: {up}, raises: {str(raises).lower()}}}",
        "caption_check: {min_words: 1}",
    ]
    source = "type: scenes, count: 30, part_size: 3, captions_per_image: 1"
    recipe = write_recipe(source, stages, extra="max_failed_fraction: 0.5")

    def plan() -> Plan:
        job = load_recipe(str(recipe))
        return make_plan(job, Parts.of(job.source.parts()))

    def times(step: str) -> dict[str, int]:
        [folder] = Path(work.root).glob(f"{step}-*")
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}

    done = run(plan().job, work, LocalRunner(), Progress())
    assert done.totals["write"].rows_out == 24
    before = {step: times(step) for step in ("image_check", "asks", "caption_check")}
    up.touch()
    again = run(plan().job, work, LocalRunner(), Progress())
    assert again.totals["write"].rows_out == 24

    assert forget(plan(), work) == [Forgotten("asks", 6, 6)]
    assert forget(plan(), work) == []
    again = run(plan().job, work, LocalRunner(), Progress())
    assert again.totals["write"].rows_out == again.totals["asks"].rows_out == 30
    assert not again.totals["asks"].rejected and not again.totals["asks"].failed
    after = {step: times(step) for step in before}
    assert after["image_check"] == before["image_check"]
    for step in ("asks", "caption_check"):
        assert sum(after[step][part] != before[step][part] for part in before[step]) == 6


def test_other_reasons_stay_unless_named(write_recipe: Write, tmp_path: Path) -> None:
    recipe = str(write_recipe("type: scenes, count: 12", ["image_check", "caption_check: {min_words: 5}"]))
    job, work = load_recipe(recipe), Store(str(tmp_path / "out.work"))
    done = run(job, work, LocalRunner(), Progress())
    plan = make_plan(job, Parts.of(job.source.parts()))
    assert forget(plan, work) == []
    [forgotten] = forget(plan, work, ["too_few_words"])
    assert forgotten.rows == done.totals["caption_check"].rejected["too_few_words"] > 0
    again = run(job, work, LocalRunner(), Progress())
    assert again.totals["write"].rows_out == done.totals["write"].rows_out

from collections.abc import Callable
from pathlib import Path

from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.results import read_result
from gritmill.pipeline.engine.tasks import Rows, Task
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.storage.store import Store


def test_slices_merge_to_the_whole_and_a_merge_that_was_cut_short_can_be_done_again(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe("type: scenes, count: 5", ["caption_check: {min_words: 4}", "image_check"])
    job = load_recipe(str(recipe))
    plan = make_plan(job, Parts.of(job.source.parts()))
    work = Store(str(tmp_path / "work"))
    worker = Worker(plan.steps, job.source, work, plan.parts_file, Store(job.output.dir), ["webdataset"])
    unit = plan.parts[0]
    worker.run(Task(0, unit))
    name = plan.steps[1].result(unit.id)
    whole = worker.run(Task(1, unit))
    table = read_result(work, name)
    work.remove(name)

    slices: tuple[Rows, ...] = ((0, 3), (3, 4), (4, 10))
    for rows in slices:
        worker.run(Task(1, unit, rows=rows))
    assert not work.exists(name)
    merge = Task(1, unit, "merge", pieces=slices)
    merged = worker.run(merge)
    assert (merged.rows_in, merged.rows_out, merged.rejected) == (10, whole.rows_out, whole.rejected)
    assert read_result(work, name).equals(table)
    assert work.names(plan.steps[1].folder) == [f"{unit.id}.parquet"]
    # Its worker died before it could say so.
    assert worker.run(merge) == merged

"""Scores stand in the report for as long as the shards are those that they belong to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.engine.finish import REPORT
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.output.scores import put_scores, scores_in
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def test_scores_go_with_their_shards(write_recipe: Callable[..., Path]) -> None:
    def made(*overrides: str) -> Store:
        job = load_recipe(recipe, overrides)
        run(job, Store(job.output.dir + ".work"), LocalRunner(), Progress(), replace=True)
        return Store(job.output.dir)

    recipe = str(write_recipe("type: scenes, count: 6", ["image_check"]))
    output = made()
    plain = output.read(REPORT)
    for value in ("0.5", "0.6"):
        put_scores(output, REPORT, f"rec/first_box@0.5 {value}")
    assert output.read(REPORT).decode() == plain.decode() + "\n## Scores\n\nrec/first_box@0.5 0.6\n"
    made("max_failed_fraction=0.5")
    assert scores_in(output.read(REPORT).decode()).endswith("0.6\n")
    made("source.seed=7")
    assert scores_in(output.read(REPORT).decode()) == ""


def test_without_a_dataset_there_is_no_place_for_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished dataset"):
        put_scores(Store(str(tmp_path)), REPORT, "0.5")

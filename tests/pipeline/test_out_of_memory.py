"""A GPU that has memory for fewer images at once than the recipe says costs no sample."""

from collections.abc import Callable
from pathlib import Path

import pytest
from odd_grounders import Crowded

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

pytest.importorskip("torch", reason="needs the extra `grounders`")
pytest.importorskip("spacy", reason="needs the extra `nlp`")

SCENES = "type: scenes, count: 24, size: 64, captions_per_image: 1, part_size: 12"


@pytest.mark.parametrize(("room", "tried"), [(3, [4, 2]), (1, [4, 2, 1])])
def test_a_worker_halves_its_batch_and_goes_on(
    room: int, tried: list[int], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    crowded = f"odd_grounders:Crowded: {{as: ground, images_at_once: 4, room: {room}}}"
    stages = ["image_check", "noun_chunks", crowded, "select_boxes"]
    job = load_recipe(str(write_recipe(SCENES, stages)))
    Crowded.passes.clear()
    finished = run(job, Store(str(tmp_path / "work")), LocalRunner(), Progress())
    total = finished.totals["ground"]
    assert total.rows_in == total.rows_out > 10
    passes = Crowded.passes
    assert passes[: len(tried)] == tried
    assert max(passes[len(tried) :]) == tried[-1], "parts that follow begin with the size that fits"
    assert sum(passes[len(tried) - 1 :]) == total.rows_in, "nothing that fitted was done twice"

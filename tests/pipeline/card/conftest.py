"""A dataset as a run leaves it, made once."""

import shutil
from pathlib import Path

import pytest

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

RECIPE = """\
name: shapes
source: {{type: scenes, count: 30, part_size: 10}}
stages:
  - image_check
  - noun_chunks
  - ground: {{grounder: annotations}}
  - select_boxes: {{min_score: 0.65}}
  - referring_expressions
output: {{dir: {folder}, formats: [webdataset, parquet, coco], splits: {{test: 0.2}}}}
card: {{license: cc-by-4.0, source: "Drawn | by <b>gritmill</b>."}}
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The output folder of a run; not to be changed."""
    folder = tmp_path_factory.mktemp("card")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(folder=folder / "out"))
    job = load_recipe(str(recipe))
    run(job, Store(work_directory(job, None)), LocalRunner(), Progress())
    return folder / "out"


@pytest.fixture
def dataset(finished, tmp_path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(finished, tmp_path / "shapes"))

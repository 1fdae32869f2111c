"""Source, work and output in a bucket: the same bytes as on a disk, and resume as on a disk."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import Finished, run
from gritmill.pipeline.engine.runners.base import Runner
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.runners.ray import RayRunner
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import verify

STAGES = ["image_check", "caption_check: {min_words: 1}"]


def go(recipe: Path, work: str, runner: Runner, *overrides: str) -> Finished:
    return run(load_recipe(str(recipe), overrides), Store(work), runner, Progress())


@pytest.mark.parametrize("runner", [LocalRunner, pytest.param(RayRunner, marks=pytest.mark.ray)])
def test_a_bucket_holds_what_a_disk_would(
    runner: Callable[[], Runner], s3: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    scenes = write_recipe(
        "type: scenes, count: 30, part_size: 10", STAGES, output="shard_size: 50KB", folder="scenes"
    )
    go(scenes, str(tmp_path / "scenes.work"), LocalRunner())
    fs = fsspec.filesystem("s3")
    for path in (tmp_path / "scenes" / "data").glob("*.tar"):
        fs.put_file(str(path), f"{s3}/in/{path.name}")
    recipe = write_recipe(
        f"type: webdataset, shards: '{s3}/in/*.tar'",
        STAGES,
        output="shard_size: 80KB, formats: [webdataset, parquet, coco]",
        folder="local",
    )
    go(recipe, str(tmp_path / "local.work"), LocalRunner())
    bucket = f"output.dir={s3}/out"
    finished = go(recipe, f"{s3}/work", runner(), bucket)
    assert finished.totals["write"].rows_out == 60
    for path in sorted((tmp_path / "local").rglob("*")):
        if path.is_file() and path.name != "recipe.yaml":
            assert path.read_bytes() == fs.cat_file(f"{s3}/out/{path.relative_to(tmp_path / 'local')}")
    assert verify([f"{s3}/out"], jobs=1).ok

    fs.invalidate_cache()
    before = {name: info["LastModified"] for name, info in fs.find(f"{s3}/work", detail=True).items()}
    go(recipe, f"{s3}/work", runner(), bucket, "stages.caption_check.min_words=2")
    fs.invalidate_cache()
    after = {name: info["LastModified"] for name, info in fs.find(f"{s3}/work", detail=True).items()}
    earlier = [name for name in before if "/source-" in name or "/image_check-" in name]
    assert len(earlier) >= 6
    assert all(after[name] == before[name] for name in earlier)

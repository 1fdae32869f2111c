"""Filters as a run has them: the funnel, one row lost for one that throws, and nothing left."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from memory_images import noise
from PIL import Image, ImageFilter

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

pytest.importorskip("py3langid", reason="needs py3langid, which the extra nlp installs")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    sharp = noise(128, 96)
    for name, picture, caption in [
        ("good", sharp, "a woman walking with her dog in the snow"),
        ("german", sharp, "eine Frau geht mit ihrem Hund im Schnee spazieren"),
        ("rude", sharp, "a fucking dog that is walking in the snow"),
        ("blurred", sharp.filter(ImageFilter.GaussianBlur(8)), "a man standing in front of a red house"),
        ("broken", sharp, "a cat that sleeps on a wooden table"),
    ]:
        out = io.BytesIO()
        Image.Image.save(picture, out, "JPEG")
        data = out.getvalue()
        (folder / f"{name}.jpg").write_bytes(data[: len(data) // 2] if name == "broken" else data)
        (folder / f"{name}.txt").write_text(caption, encoding="utf-8")
    return folder


def done(write_recipe, photos, stages, extra=""):
    recipe = write_recipe(f"type: folder, path: {photos}", ["caption_check", *stages], extra=extra)
    job = load_recipe(str(recipe))
    work = Store(f"{job.output.dir}.work")
    # The writer needs the size of an image, which this finds out after the filters had the broken one.
    return run(job, work, LocalRunner(), Progress()), Path(f"{job.output.dir}.work")


FILTERS = ["language", "profanity", "image_quality", "image_check"]


def test_every_filter_drops_its_own_and_a_row_that_throws_is_lost_alone(write_recipe, photos):
    finished, _ = done(write_recipe, photos, FILTERS, "max_failed_fraction: 0.5")
    totals = finished.totals
    assert dict(totals["language"].rejected) == {"language": 1}
    assert dict(totals["profanity"].rejected) == {"profanity": 1}
    assert dict(totals["image_quality"].rejected) == {"blurred": 1}
    assert dict(totals["image_quality"].failed) == {"OSError": 1}
    assert totals["write"].rows_out == 1


def test_measure_writes_columns_and_drops_nothing(write_recipe, photos):
    (photos / "broken.jpg").unlink()
    stages = [f"{name}: {{mode: measure}}" for name in FILTERS[:3]] + ["image_check"]
    finished, work = done(write_recipe, photos, stages)
    assert finished.totals["write"].rows_out == 4
    [result] = work.glob("image_quality-*/*.parquet")
    table = pq.read_table(result)
    assert table["sharpness"].null_count == 0 and min(table["sharpness"].to_pylist()) < 30


def test_a_filter_that_drops_everything_stops_the_run_with_a_sentence(write_recipe, photos):
    (photos / "broken.jpg").unlink()
    with pytest.raises(UserError, match="image_quality"):
        done(write_recipe, photos, ["image_quality: {min_sharpness: 1000000}", "image_check"])

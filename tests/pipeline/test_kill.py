"""Kills drivers and workers at random moments; what comes out must not show it.

`GRITMILL_KILLS=40 pytest tests/pipeline/test_kill.py` runs the long form.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("GRITMILL_KILLS", "8"))
SOURCE = "type: scenes, count: 240, part_size: 20"
STAGES = [
    "image_check: {min_side: 64}",
    "caption_check",
    "odd_stages:FirstOfEachImage: {}",
    "odd_stages:Slow: {seconds: 0.1}",
]
OUTPUT = "formats: [webdataset, parquet, coco], shard_size: 200KB, splits: {validation: 0.1}"


def sums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def finished(work: Path) -> dict[str, tuple[int, int]]:
    """Every whole result, and what changes when it is written again."""
    return {
        str(path.relative_to(work)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in work.glob("*-*/*.parquet")
        if not path.name.startswith(".")
    }


def start(recipe: Path, runner: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gritmill.pipeline.cli", "run", str(recipe), "--runner", runner],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for_results(work: Path, process: subprocess.Popen[bytes], more_than: int) -> None:
    """Until some new work is finished, or the run is."""
    while process.poll() is None and len(finished(work)) <= more_than:
        time.sleep(0.02)


@pytest.mark.parametrize("runner", ["local", "ray"])
@pytest.mark.timeout(1200)
def test_killed_runs_end_with_the_same_bytes(
    runner: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    calm = write_recipe(SOURCE, STAGES, output=OUTPUT, folder="calm")
    assert start(calm, "local").wait() == 0
    recipe = write_recipe(SOURCE, STAGES, output=OUTPUT, folder="out")
    work = tmp_path / "out.work"
    chance = random.Random(runner)
    kills = 0
    wanted = KILLS if runner == "local" else max(2, KILLS // 4)
    while True:
        before = finished(work)
        process = start(recipe, runner)
        assert process.stderr is not None
        wait_for_results(work, process, len(before))
        time.sleep(chance.uniform(0, 0.4))
        if kills < wanted and process.poll() is None:
            if runner == "ray" and chance.random() < 0.5:
                kills += kill_a_worker(process.pid, chance)
            else:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                process.stderr.close()
                unchanged(before, finished(work))
                continue
        said = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait() == 0, said
        unchanged(before, finished(work))
        if kills >= wanted:
            break
        # Finished before enough was killed: begin again with one stage to do over.
        forget_some(work, chance)
    out, expected = sums(tmp_path / "out"), sums(tmp_path / "calm")
    assert set(out) == set(expected)
    # The two recipes name their own output folders.
    assert {name for name in out if out[name] != expected[name]} == {"recipe.yaml"}


@pytest.mark.timeout(300)
def test_a_run_killed_while_it_detects_ends_with_the_same_bytes(
    write_recipe: Callable[..., Path], coco_mini: Path, yolox_nano: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    pytest.importorskip("spacy", reason="needs the extra `nlp`")
    source = f"type: coco, images: {coco_mini}/images, captions: {coco_mini}/captions.json"
    source += ", per: image, part_size: 8"
    stages = [
        "image_check",
        "noun_chunks",
        f"ground: {{grounder: onnx, model: {yolox_nano}}}",
        "select_boxes: {min_score: 0.24}",
        "referring_expressions",
    ]
    output = "formats: [webdataset], shard_size: 5MB"
    calm = write_recipe(source, stages, output=output, folder="calm")
    assert start(calm, "local").wait() == 0
    recipe = write_recipe(source, stages, output=output, folder="out")
    work = tmp_path / "out.work"

    def done(stage: str) -> set[str]:
        return {Path(name).name for name in finished(work) if name.startswith(f"{stage}-")}

    process = start(recipe, "local")
    while process.poll() is None and not (len(done("ground")) == 2 and done("noun_chunks") > done("ground")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(done("ground")) == 2 and len(done("noun_chunks")) == 3, "the third part was being grounded"
    before = finished(work)

    resumed = start(recipe, "local")
    assert resumed.stderr is not None
    said = resumed.stderr.read().decode()
    assert resumed.wait() == 0, said
    unchanged(before, finished(work))
    shards = sums(tmp_path / "out" / "data")
    assert shards and shards == sums(tmp_path / "calm" / "data")


def kill_a_worker(driver: int, chance: random.Random) -> int:
    workers = [
        child
        for child in psutil.Process(driver).children(recursive=True)
        if "_Actor" in " ".join(child.cmdline())
    ]
    if not workers:
        return 0
    chance.choice(workers).kill()
    return 1


def unchanged(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> None:
    """No finished (stage, part) was done again."""
    assert {name: after.get(name) for name in before} == before


def forget_some(work: Path, chance: random.Random) -> None:
    results = sorted(work.glob("*-*/*.parquet"))
    for path in chance.sample(results, len(results) // 2):
        path.unlink()

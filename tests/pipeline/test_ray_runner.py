"""What only Ray can show: pools, workers that die, a cluster by address."""

import importlib.metadata
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gritmill.pipeline.engine.plan import Resources
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import Finished, run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.runners.ray import RayRunner, _no_environment, divide
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

pytestmark = pytest.mark.ray

Write = Callable[..., Path]
CPU, GPU = Resources(1, 0), Resources(1, 1)


@pytest.mark.parametrize(
    ("shapes", "cpus", "gpus", "expected"),
    [
        ([CPU], 2, 0, {CPU: 2}),
        ([CPU, GPU], 16, 2, {GPU: 2, CPU: 14}),
        ([CPU, GPU], 2, 8, {GPU: 1, CPU: 1}),
        ([CPU, Resources(0.5, 0)], 1, 0, {CPU: 1, Resources(0.5, 0): 1}),
        ([CPU, CPU._replace(one_worker="generate")], 8, 0, {CPU: 7, CPU._replace(one_worker="generate"): 1}),
        ([CPU, Resources(4, 0)], 16, 0, {Resources(4, 0): 3, CPU: 4}),
    ],
)
def test_resources_are_divided(
    shapes: list[Resources], cpus: float, gpus: float, expected: dict[Resources, int]
) -> None:
    assert divide(shapes, cpus, gpus) == expected


def test_a_step_larger_than_the_cluster_is_a_sentence() -> None:
    with pytest.raises(UserError, match="needs 1 CPUs and 1 GPUs, and Ray has 2 and 0"):
        divide([GPU], 2, 0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """One Ray for the tests of this file; runs find it by its address, as on a cluster."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = str(Path(sys.executable).with_name("ray"))
    options = ["--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    head = subprocess.Popen(
        [ray, "start", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    address = f"127.0.0.1:{port}"
    check = [ray, "health-check", f"--address={address}"]
    while subprocess.run(check, check=False, capture_output=True).returncode:
        assert head.poll() is None, "Ray did not start"
    yield address
    head.terminate()
    head.wait(timeout=60)


def go(recipe: Path, address: str | None = None, local: bool = False) -> Finished:
    job = load_recipe(str(recipe))
    runner = LocalRunner() if local else RayRunner(address)
    return run(job, Store(work_directory(job, None)), runner, Progress())


def test_a_row_that_kills_its_worker_is_lost_alone(cluster: str, write_recipe: Write, tmp_path: Path) -> None:
    stages = ["image_check", "odd_stages:DiesOn: {keys: [scene-00000013_0, scene-00000017_1]}"]
    recipe = write_recipe("type: scenes, count: 20, part_size: 10", stages, extra="max_failed_fraction: 0.2")
    finished = go(recipe, cluster)
    total = finished.totals["odd_stages:DiesOn"]
    assert (total.rows_in, total.rows_out, dict(total.failed)) == (40, 38, {"WorkerDied": 2})
    assert not list((tmp_path / "out.work").rglob("*.piece"))


def test_a_source_that_kills_its_worker_stops_the_run(cluster: str, write_recipe: Write) -> None:
    recipe = write_recipe("type: 'odd_sources:Deadly'", [])
    with pytest.raises(UserError, match="workers keep dying on"):
        go(recipe, cluster)


def test_the_user_s_mistake_in_a_worker_stays_one_sentence(cluster: str, write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", "odd_stages:SetupFails: {}"])
    with pytest.raises(UserError, match="the model nowhere/none is not there"):
        go(recipe, cluster)


def test_both_runners_write_the_same_bytes(cluster: str, write_recipe: Write, tmp_path: Path) -> None:
    stages = ["image_check", "noun_chunks", "ground: {grounder: annotations}", "select_boxes"]
    options = "shard_size: 100KB, formats: [webdataset, parquet, coco], splits: {validation: 0.2}"
    for folder, local in (("a", True), ("b", False)):
        recipe = write_recipe("type: scenes, count: 60, part_size: 15", stages, output=options, folder=folder)
        go(recipe, cluster, local)
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file() and path.name != "recipe.yaml":
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.skipif(
    "GRITMILL_RUNTIME" not in os.environ,
    reason="copies the whole environment, some GB; asked for with GRITMILL_RUNTIME=1",
)
def test_a_stage_has_workers_with_versions_of_its_own(
    cluster: str, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", "odd_stages:OtherVersion: {}"])
    try:
        finished = go(recipe, cluster)
    except UserError as error:
        if "No matching distribution" in str(error) or "Could not find a version" in str(error):
            pytest.skip(f"needs a package index: {error}")
        raise
    step = next(step for step in finished.plan.steps if step.name == "odd_stages:OtherVersion")
    assert dict(step.versions) == {"iniconfig": "2.0.0"} and step.resources.pinned_packages == (
        "iniconfig==2.0.0",
    )
    [path] = (tmp_path / "out.work" / step.folder).glob("*.parquet")
    assert set(pq.read_table(path)["version"].to_pylist()) == {"2.0.0"}
    assert importlib.metadata.version("iniconfig") != "2.0.0"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Traceback ...\nRuntimeError: Please install virtualenv `python3 -m pip install virtualenv`",
            "RuntimeError: Please install virtualenv `python3 -m pip install virtualenv`",
        ),
        (
            "Failed to install pip packages.\n    ERROR: No matching distribution found for iniconfig==9\n",
            "ERROR: No matching distribution found for iniconfig==9",
        ),
        ("something else", "Failed to set up runtime environment. something else"),
    ],
)
def test_versions_that_cannot_be_had_are_a_sentence(said: str, reason: str) -> None:
    from ray.exceptions import RuntimeEnvSetupError

    told = str(_no_environment(Resources(1, 0, "", ("iniconfig==9",)), RuntimeEnvSetupError(said)))
    assert told.startswith(f"no worker can be had with iniconfig==9: {reason} (virtualenv and pip install")
    assert "Traceback" not in told


def test_without_ray_no_worker_has_versions_of_its_own(write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", "odd_stages:OtherVersion: {}"])
    with pytest.raises(UserError, match=r"needs workers with iniconfig==2\.0\.0, which only Ray"):
        go(recipe, local=True)


def test_without_an_address_a_run_has_a_ray_of_its_own(
    cluster: str, write_recipe: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    joined, shutdown = [], ray.shutdown

    def note_and_shut_down() -> None:
        joined.append(ray.get_runtime_context().gcs_address)
        shutdown()

    monkeypatch.setattr(ray, "shutdown", note_and_shut_down)
    go(write_recipe("type: scenes, count: 4", ["image_check"]))
    assert len(joined) == 1
    assert joined[0].rpartition(":")[2] != cluster.rpartition(":")[2]


def test_no_cluster_at_an_address_is_a_sentence(write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check"])
    with pytest.raises(UserError, match="ray start --head"):
        go(recipe, "127.0.0.1:1")

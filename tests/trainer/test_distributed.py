"""Two processes of one training, on the CPU: they share its samples, and learn what one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from tiny_training import curve

pytestmark = pytest.mark.slow

SCRIPT = Path(tiny_training.__file__)


def launch(processes: int, *arguments: object, place: str = "") -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        processes,
        "--master-port",
        port,
    ]
    return subprocess.run(
        [str(part) for part in (*start, SCRIPT, *arguments, *([place] if place else []))],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_training.save_llava(tmp_path_factory.mktemp("still"), dropout=0.0)


def seen(out: Path, rank: int) -> list[list[str]]:
    return [line.split() for line in out.with_suffix(f".{rank}").read_text().splitlines()]


def run(processes: int, still: Path, shards: Path, out: Path, more: dict[str, Any], place: str = "") -> str:
    done = launch(processes, still, shards, out, json.dumps(more), place=place)
    assert (done.returncode != 0) if place else (done.returncode == 0), done.stderr
    return done.stdout


def test_two_processes_train_as_one(still: Path, shards: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, still, shards, one, {"batch_size": 2, "accumulate": 2})
    told = run(2, still, shards, two, {"batch_size": 2})

    assert told == "8 steps\n"
    batches = [batch for pair in zip(seen(two, 0), seen(two, 1), strict=True) for batch in pair]
    assert batches == seen(one, 0)
    for a, b in zip(curve(one), curve(two), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert {**a, "loss": 0, "grad_norm": 0} == {**b, "loss": 0, "grad_norm": 0}


def test_two_processes_go_on_from_their_checkpoint(still: Path, shards: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(2, still, shards, whole, {"batch_size": 2})
    run(2, still, shards, killed, {"batch_size": 2}, place="step")
    assert [path.name for path in killed.glob("checkpoint-*")] == ["checkpoint-3"]

    run(2, still, shards, killed, {"batch_size": 2})

    assert curve(killed) == curve(whole)
    assert tiny_training.weights(killed / "model") == tiny_training.weights(whole / "model")


def test_two_processes_divide_a_stream_once(still: Path, shards: Path, tmp_path: Path) -> None:
    """Twenty samples in five steps of two times two: an epoch, each sample once."""
    out = tmp_path / "out"
    run(2, still, shards, out, {"streaming": True, "batch_size": 2, "max_steps": 5})
    keys = [key for rank in (0, 1) for batch in seen(out, rank)[:5] for key in batch]
    assert sorted(keys) == [f"sample-{number:04}" for number in range(20)]


def test_weights_that_lie_on_two_processes_are_saved_whole(still: Path, shards: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(1, still, shards, one, {"batch_size": 4})
    run(2, still, shards, two, {"batch_size": 2, "trainer": {"fsdp": True}})

    from gritmill.trainer.models.load import load

    expected = load(str(one / "model")).model.state_dict()
    for name, tensor in load(str(two / "model")).model.state_dict().items():
        assert tensor.allclose(expected[name], atol=1e-3), name

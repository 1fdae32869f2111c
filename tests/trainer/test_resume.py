"""A training that was interrupted ends as one that was not: the same curve, the same weights, bit by bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_training import curve, options, weights

from gritmill.trainer.train import train

pytestmark = pytest.mark.slow

MADE_FROM = {"recipe": "test"}


class Interrupted(Exception):
    pass


def interrupt_at(step: int):
    def progress(line: dict[str, Any]) -> None:
        if line["step"] == step:
            raise Interrupted

    return progress


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="all weights"),
        pytest.param(
            {"workers": 2, "batch_size": 2, "accumulate": 2, "log_every": 2}, id="workers, accumulate"
        ),
        pytest.param({"lora": {"rank": 4, "dropout": 0.1}}, id="lora"),
        pytest.param({"lora": {"rank": 4}, "precision": "bf16"}, id="lora, bf16"),
        pytest.param({"freeze": ["vision", "language"], "precision": "bf16"}, id="frozen parts, bf16"),
        pytest.param({"new_tokens": True, "dialect": "kosmos2"}, id="new tokens"),
        pytest.param({"streaming": True}, id="streaming"),
        pytest.param({"gradient_checkpointing": True}, id="gradient checkpointing"),
    ],
)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    more: dict[str, Any], llava: Path, shards: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(options(llava, **more), str(shards), str(whole), MADE_FROM)

    for step in (2, 6):  # before the first checkpoint, and after it
        with pytest.raises(Interrupted):
            train(options(llava, **more), str(shards), str(parts), MADE_FROM, progress=interrupt_at(step))
    trained = train(options(llava, **more), str(shards), str(parts), MADE_FROM)

    assert trained.steps == 8
    assert [line["step"] for line in curve(parts)][-1] == 8
    assert curve(parts) == curve(whole)
    assert curve(whole)[0]["loss"] != curve(whole)[-1]["loss"]
    assert weights(parts / "model") == weights(whole / "model") != {}
    assert (parts / "report.md").read_text() == (whole / "report.md").read_text()


@pytest.mark.parametrize("place", ["step", "weights", "rename"])
def test_a_killed_training_goes_on_from_its_last_whole_checkpoint(
    place: str, llava: Path, shards: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(options(llava), str(shards), str(whole), MADE_FROM)

    script = Path(__file__).parent.parent / "support" / "tiny_training.py"
    command = [sys.executable, script, llava, shards, killed, "{}", place]
    done = subprocess.run(list(map(str, command)), env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)

    assert done.returncode == -9
    assert [path.name for path in killed.glob("checkpoint-*")] == ["checkpoint-3"]
    steps: list[int] = []
    train(
        options(llava), str(shards), str(killed), MADE_FROM, progress=lambda line: steps.append(line["step"])
    )
    assert steps == [4, 5, 6, 7, 8]
    assert curve(killed) == curve(whole)
    assert weights(killed / "model") == weights(whole / "model")
    assert not list((killed / ".unfinished").iterdir())


def test_weights_of_the_checkpoint_are_those_that_are_trained_on(
    llava: Path, shards: Path, tmp_path: Path
) -> None:
    """A library that ignores weights under names it does not know would go on from the first ones."""
    from safetensors.torch import load_file

    from gritmill.trainer.models.load import load

    train(options(llava, max_steps=3), str(shards), str(tmp_path), MADE_FROM)

    checkpoint, model = load(str(tmp_path / "checkpoint-3")).model, load(str(tmp_path / "model")).model
    stored = load_file(tmp_path / "checkpoint-3" / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert tensor.equal(checkpoint.state_dict()[name]) and tensor.equal(stored[name]), name


def test_a_log_line_that_a_kill_cut_short_is_written_anew(llava: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(options(llava), str(shards), str(tmp_path), MADE_FROM, progress=interrupt_at(5))
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text()[:-20])

    train(options(llava), str(shards), str(tmp_path), MADE_FROM)

    assert [line["step"] for line in curve(tmp_path)] == list(range(1, 9))
    assert json.loads(log.read_text().splitlines()[4])["step"] == 5

"""What a training does with its options, its folder and bad samples."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from tiny_training import curve, options, weights

from gritmill.schemas.errors import UserError
from gritmill.trainer import provenance
from gritmill.trainer.train import train

MADE_FROM = {"recipe": "test"}


@pytest.fixture(scope="module")
def trained(llava: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train(options(llava), str(shards), str(out), MADE_FROM)
    return out


def test_a_finished_training_does_nothing(trained: Path, llava: Path, shards: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    steps: list[Any] = []

    again = train(options(llava), str(shards), str(trained), MADE_FROM, progress=steps.append)

    assert again.steps == 8 and again.samples == 32 and again.left_out is None and steps == []
    after = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {trained / ".lock"}


def test_without_resume_it_begins_anew(trained: Path, llava: Path, shards: Path, tmp_path: Path) -> None:
    first = train(options(llava, max_steps=2), str(shards), str(tmp_path), MADE_FROM)
    assert first.steps == 2
    again = train(options(llava, learning_rate=5e-4), str(shards), str(tmp_path), MADE_FROM, resume=False)
    assert again.steps == 8
    made = provenance.read(tmp_path)
    assert made is not None and made["train"]["learning_rate"] == 5e-4


def test_two_trainings_give_the_same_bytes(trained: Path, llava: Path, shards: Path, tmp_path: Path) -> None:
    train(options(llava, keep=1), str(shards), str(tmp_path), MADE_FROM)

    assert curve(tmp_path) == curve(trained)
    assert weights(tmp_path / "model") == weights(trained / "model")
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-8"]
    assert {path.name for path in trained.glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-8"}


@pytest.mark.parametrize(
    "more, made_from, told",
    [
        ({"learning_rate": 0.5}, MADE_FROM, "train.learning_rate was 0.001 and is now 0.5"),
        ({"max_steps": 9}, MADE_FROM, "steps was 8 and is now 9"),
        ({"seed": 1}, MADE_FROM, "train.seed was 0 and is now 1"),
        ({"accumulate": 2}, MADE_FROM, "global_batch was 4 and is now 8"),
        ({}, {"recipe": "another"}, 'made_from.recipe was "test" and is now "another"'),
    ],
)
def test_another_training_is_not_continued(
    more: dict[str, Any], made_from: dict[str, Any], told: str, trained: Path, llava: Path, shards: Path
) -> None:
    with pytest.raises(UserError) as error:
        train(options(llava, **more), str(shards), str(trained), made_from)
    assert told in str(error.value)


def test_another_training_is_replaced_if_told_so(llava: Path, shards: Path, tmp_path: Path) -> None:
    before = options(llava, max_steps=2)
    train(before, str(shards), str(tmp_path), MADE_FROM)
    (tmp_path / "eval").mkdir()
    for name in ("metrics.json", "predictions-validation-rec.jsonl", "judge-talk.jsonl"):
        (tmp_path / "eval" / name).write_text("of the model before")
    (tmp_path / "notes.txt").write_text("mine")
    train(before, str(shards), str(tmp_path), MADE_FROM, replace=True)  # the same: nothing to replace
    assert (tmp_path / "eval" / "metrics.json").exists()

    again = options(llava, max_steps=3)
    with pytest.raises(UserError, match="; choose another train.dir, or replace it with --replace$"):
        train(again, str(shards), str(tmp_path), MADE_FROM)
    assert train(again, str(shards), str(tmp_path), MADE_FROM, replace=True).steps == 3
    assert {path.name for path in (tmp_path / "eval").iterdir()} == {"judge-talk.jsonl"}
    assert (tmp_path / "notes.txt").exists()


def test_a_training_on_another_dataset_is_not_continued(trained: Path, llava: Path, tmp_path: Path) -> None:
    others = tiny_training.save_shards(tmp_path / "others", 22)
    with pytest.raises(UserError, match="shards was"):
        train(options(llava), str(others), str(trained), MADE_FROM)


@pytest.mark.parametrize(
    "more", [{"workers": 1}, {"log_every": 5}, {"save_every": 4}, {"keep": 9}, {"dir": "x"}]
)
def test_what_changes_no_weight_may_change(
    more: dict[str, Any], trained: Path, llava: Path, shards: Path
) -> None:
    assert train(options(llava, **more), str(shards), str(trained), MADE_FROM).steps == 8


def test_a_folder_with_something_else_in_it_is_left_alone(llava: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("unique")
    with pytest.raises(UserError, match="not empty and no training of ours"):
        train(options(llava), str(shards), str(tmp_path), MADE_FROM)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["thesis.txt"]


def test_everything_that_made_a_model_is_saved_with_it(trained: Path, shards: Path) -> None:
    made = json.loads((trained / "model" / "gritmill.json").read_text())

    assert made == json.loads((trained / "checkpoint-6" / "gritmill.json").read_text())
    assert made["made_from"] == MADE_FROM
    lines = [line.split("  ") for line in (shards / "SHA256SUMS").read_text().splitlines()]
    sums = {path: digest for digest, path in lines}
    assert list(made["shards"].values()) == [sums] and len(sums) == 2
    assert made["train"]["learning_rate"] == 1e-3 and made["train"]["weight_decay"] == 0
    assert (made["steps"], made["global_batch"], made["dialect"]) == (8, 4, "shikra")
    assert made["model"].startswith("llava") and "@" in made["model"]
    assert {"torch", "transformers", "python", "pillow"} <= made["versions"].keys()


@pytest.mark.parametrize(
    "more, steps",
    [
        ({"epochs": 1}, 5),
        ({"epochs": 1.5, "batch_size": 8}, 4),
        ({"epochs": 1, "accumulate": 2}, 3),
        ({"epochs": 0.01}, 1),
    ],
)
def test_epochs_become_steps(
    more: dict[str, Any], steps: int, llava: Path, shards: Path, tmp_path: Path
) -> None:
    done = train(options(llava, max_steps=None, **more), str(shards), str(tmp_path), MADE_FROM)
    assert done.steps == steps


def test_accumulated_batches_count_as_one(trained: Path, llava: Path, shards: Path, tmp_path: Path) -> None:
    """Without dropout four samples at once and two times two give the same loss, but for rounding."""
    still = tiny_training.save_llava(tmp_path / "still", dropout=0.0)
    for name, more in {"one": {}, "two": {"batch_size": 2, "accumulate": 2}}.items():
        train(options(still, **more), str(shards), str(tmp_path / name), MADE_FROM)

    for one, two in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["samples"] == two["samples"]


def test_learning_rate_rises_and_falls(llava: Path, shards: Path, tmp_path: Path) -> None:
    train(options(llava, warmup=0.5, schedule="linear"), str(shards), str(tmp_path), MADE_FROM)
    rates = [line["learning_rate"] * 1e3 for line in curve(tmp_path)]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])


def test_bad_samples_are_named_and_trained_around(llava: Path, tmp_path: Path) -> None:
    """Two of thirty images do not open, one of them a batch of its own."""
    shards = tiny_training.save_shards(tmp_path / "shards", 30, broken=2)
    more = {"batch_size": 1, "max_steps": 30, "log_every": 10}

    done = train(options(llava, **more), str(shards), str(tmp_path / "out"), MADE_FROM)

    lines = curve(tmp_path / "out")
    bad = [sample for line in lines for sample in line["bad"]]
    assert sorted(sample["key"] for sample in bad) == ["sample-0000", "sample-0001"]
    assert done.left_out is not None and done.left_out.startswith("2 of 30 samples were left out: image: ")
    assert done.left_out in (tmp_path / "out" / "report.md").read_text()
    assert all(math.isfinite(line["loss"]) for line in lines)


@pytest.mark.parametrize(
    "samples, broken, answer, more, told",
    [
        (8, 2, "<region:0>", {}, "8 of 32 samples cannot be trained on, such as sample-000"),
        (8, 8, "<region:0>", {"batch_size": 2}, "16 of 16 samples cannot be trained on"),
        (8, 0, "<region:0>", {"max_length": 9}, "no answer within 9 tokens"),
    ],
)
def test_too_many_bad_samples_are_a_mistake(
    samples: int, broken: int, answer: str, more: dict[str, Any], told: str, llava: Path, tmp_path: Path
) -> None:
    shards = tiny_training.save_shards(tmp_path / "shards", samples, broken, answer)
    with pytest.raises(UserError) as error:
        train(options(llava, **more), str(shards), str(tmp_path / "out"), MADE_FROM)
    assert told in str(error.value)
    assert not (tmp_path / "out" / "model").exists()


def test_a_training_that_diverges_says_so(llava: Path, shards: Path, tmp_path: Path) -> None:
    more = {"learning_rate": 1e18, "max_grad_norm": 0, "warmup": 0, "schedule": "constant"}
    with pytest.raises(UserError, match=r"the training has failed: \w+ is (nan|inf) at step"):
        train(options(llava, **more), str(shards), str(tmp_path), MADE_FROM)


@pytest.mark.parametrize(
    "more, told",
    [
        ({"streaming": True, "max_steps": None}, "set train.max_steps"),
        ({"streaming": True, "curriculum": [{"until": 0.5, "max_boxes": 1}]}, "leave out train.curriculum"),
        ({"preset": "kosmos3"}, "there is no preset 'kosmos3'; choose one of kosmos2_pretrain"),
        ({"trainer": {"fsdb": True}}, "did you mean fsdp?"),
        ({"trainer": {"learning_rate": 1}}, "say it with the options of `train:` itself"),
        ({"trainer": {"optim": "magic"}}, "magic"),
    ],
)
def test_mistakes_are_told(
    more: dict[str, Any], told: str, llava: Path, shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        train(options(llava, **more), str(shards), str(tmp_path), MADE_FROM)
    assert told in str(error.value)


def test_a_remote_folder_is_refused(llava: Path, shards: Path) -> None:
    with pytest.raises(UserError, match="set train.dir to a folder of this machine"):
        train(options(llava), str(shards), "s3://bucket/model", MADE_FROM)


def test_one_training_at_a_time(llava: Path, shards: Path, tmp_path: Path) -> None:
    lock = f"import fcntl, sys; fcntl.flock(f := open({str(tmp_path / '.lock')!r}, 'a'), fcntl.LOCK_EX)"
    code = f"{lock}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(UserError, match="another training is at work"):
            train(options(llava), str(shards), str(tmp_path), MADE_FROM)
        holder.communicate()


def test_other_datasets_are_mixed_in(llava: Path, shards: Path, tmp_path: Path) -> None:
    others = tiny_training.save_shards(tmp_path / "others", 10, broken=10)
    more = {"mix": {str(others): 0.05}, "max_steps": None, "epochs": 2}
    done = train(options(llava, **more), str(shards), str(tmp_path / "out"), MADE_FROM)
    assert done.steps == math.ceil(2 * 20 * 1.05 / 4)
    assert sum(len(line["bad"]) for line in curve(tmp_path / "out")) == 2


def test_the_log_goes_to_tensorboard_too(llava: Path, shards: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    train(options(llava, max_steps=2, report_to=["tensorboard"]), str(shards), str(tmp_path), MADE_FROM)
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))


def test_a_tracker_that_is_not_installed(llava: Path, shards: Path, tmp_path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed")
    with pytest.raises(UserError, match="pip install wandb"):
        train(options(llava, report_to=["wandb"]), str(shards), str(tmp_path), MADE_FROM)

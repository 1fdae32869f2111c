from pathlib import Path
from typing import Any

import pytest

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train
from gritmill.trainer import provenance


def made(said: dict[str, Any] | None = None, **more: Any) -> provenance.Provenance:
    values: dict[str, Any] = {
        "made_from": {"recipe": "scenes", "fingerprint": "5f0c"},
        "shards": {"out/scenes": {"data/train-00000-of-00001.tar": "9b1d"}},
        "global_batch": 8,
        "steps": 10,
    }
    return provenance.provenance(Train(model="m", **(said or {})), **{**values, **more})


@pytest.mark.parametrize(
    "now, told",
    [
        (made(), []),
        (
            made(
                {"workers": 7, "log_every": 1, "save_every": 2, "keep": 3, "dir": "x", "report_to": ["wandb"]}
            ),
            [],
        ),
        (made(shards={"moved/scenes": {"data/train-00000-of-00001.tar": "9b1d"}}), []),
        ({**made(), "versions": {"torch": "99"}, "model": "only now known"}, []),
        (made({"seed": 1}), ["train.seed was 0 and is now 1"]),
        (made({"mix": {"a": 2.0}}), ["train.mix was [] and is now [2.0]"]),
        (made({"trainer": {"tf32": True}}), ["train.trainer.tf32 was null and is now true"]),
        (made(steps=11), ["steps was 10 and is now 11"]),
        (
            made(made_from={"recipe": "coco", "fingerprint": "5f0c"}),
            ['made_from.recipe was "scenes" and is now "coco"'],
        ),
    ],
)
def test_what_makes_another_training(now: provenance.Provenance, told: list[str]) -> None:
    assert provenance.differences(made(), now) == told


def test_adapters_make_another_training() -> None:
    found = provenance.differences(made(), made({"lora": {"rank": 8}}))
    assert "train.lora.rank was null and is now 8" in found


def test_other_shards_make_another_training() -> None:
    now = made(shards={"out/scenes": {"data/train-00000-of-00001.tar": "0000"}})
    assert len(provenance.differences(made(), now)) == 1


def test_a_preset_is_written_down_with_its_source() -> None:
    told = made({"preset": "ferret"})["preset"]
    assert told["global_batch"] == 128 and "Ferret" in told["source"]


def test_read_and_write(tmp_path: Path) -> None:
    assert provenance.read(tmp_path) is None
    provenance.write(tmp_path, made())
    assert provenance.read(tmp_path) == made()
    (tmp_path / provenance.FILE).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        provenance.read(tmp_path)

from typing import Any

import pytest

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train
from gritmill.trainer.presets import fill, presets


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_one_of_a_training(name: str) -> None:
    options, batch, note = fill(Train(model="m", preset=name, batch_size=1))
    assert batch == presets()[name].global_batch == options.accumulate and note is None
    assert presets()[name].source


@pytest.mark.parametrize(
    "said, devices, expected",
    [
        ({"preset": "ferret"}, 1, {"batch_size": 8, "accumulate": 16, "epochs": 3, "learning_rate": 2e-5}),
        ({"preset": "ferret", "batch_size": 16}, 8, {"accumulate": 1}),
        ({"preset": "ferret", "learning_rate": 1e-4}, 1, {"learning_rate": 1e-4, "max_length": 2048}),
        ({"preset": "ferret", "epochs": 1.0}, 1, {"epochs": 1.0}),
        ({"preset": "kosmos2_instruct"}, 1, {"max_steps": 10000, "learning_rate": 1e-5}),
        ({"preset": "kosmos2_instruct", "epochs": 1}, 1, {"max_steps": None, "epochs": 1}),
        ({"preset": "kosmos2_instruct", "max_steps": 7, "epochs": 1}, 1, {"max_steps": 7}),
        (
            {"preset": "kosmos2_pretrain", "trainer": {"tf32": True}},
            1,
            {"trainer": {"adam_epsilon": 1e-6, "tf32": True}, "betas": (0.9, 0.98), "schedule": "linear"},
        ),
        ({}, 4, {"batch_size": 8, "accumulate": 1, "learning_rate": 2e-5}),
    ],
)
def test_the_recipe_goes_first(said: dict[str, Any], devices: int, expected: dict[str, Any]) -> None:
    options = fill(Train(model="m", **said), devices).options
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    "said, devices, batch, told",
    [
        ({"preset": "ferret", "batch_size": 8}, 4, 128, None),
        ({"preset": "ferret", "batch_size": 8, "accumulate": 1}, 4, 32, "32 samples a step"),
        ({"preset": "ferret", "batch_size": 48}, 1, 144, "preset ferret has 128"),
        ({"preset": "ferret", "batch_size": 512}, 1, 512, "512 samples a step"),
        ({"batch_size": 3, "accumulate": 5}, 2, 30, None),
    ],
)
def test_the_global_batch(said: dict[str, Any], devices: int, batch: int, told: str | None) -> None:
    filled = fill(Train(model="m", **said), devices)
    assert filled.global_batch == batch
    assert (filled.note is None) if told is None else (told in str(filled.note))


def test_an_unknown_preset() -> None:
    with pytest.raises(UserError, match="choose one of"):
        fill(Train(model="m", preset="gpt5"))

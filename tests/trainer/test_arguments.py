from pathlib import Path
from typing import Any

import pytest

from gritmill.schemas.training import Train
from gritmill.trainer.arguments import training_arguments


@pytest.mark.parametrize(
    "said, expected",
    [
        ({}, {"max_grad_norm": 1.0, "lr_scheduler_type": "cosine", "remove_unused_columns": False}),
        ({"schedule": "constant"}, {"lr_scheduler_type": "constant_with_warmup"}),
        ({"schedule": "linear"}, {"lr_scheduler_type": "linear"}),
        ({"betas": (0.9, 0.98), "weight_decay": 0.1}, {"adam_beta2": 0.98, "weight_decay": 0.1}),
        (
            {"batch_size": 3, "accumulate": 5},
            {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 5},
        ),
        ({"precision": "bf16"}, {"bf16": True}),
        ({"precision": "fp32"}, {"bf16": False}),
        ({"gradient_checkpointing": True}, {"activation_checkpointing": True}),
        ({"trainer": {"adam_epsilon": 1e-6}}, {"adam_epsilon": 1e-6}),
        ({"report_to": []}, {"report_to": [], "logging_nan_inf_filter": False, "disable_tqdm": True}),
    ],
)
def test_options_become_arguments(said: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    arguments = training_arguments(Train(model="m", **said), tmp_path)
    assert {name: getattr(arguments, name) for name in expected} == expected
    assert arguments.n_gpu <= 1

"""The recipe's options in the words of transformers.TrainingArguments."""

import dataclasses
import difflib
import importlib.util
import os
from pathlib import Path
from typing import Any

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train

_TRACKERS = {"trackio": "trackio", "tensorboard": "tensorboard", "wandb": "wandb"}
"""Where the log may go -> the package that takes it there, by its name for pip and import."""


def training_arguments(options: Train, out: Path) -> Any:
    """`options` have their preset filled in; how many steps there are is set by the caller.

    Raises `UserError` for `trainer:` options that there are not, or that the recipe has another name for,
    for a tracker that is not installed, and for whatever transformers refuses.
    """
    import torch
    from transformers import TrainingArguments

    for name in options.report_to:
        if importlib.util.find_spec(_TRACKERS[name]) is None:
            raise UserError(f"train.report_to: {name} is not installed; pip install {_TRACKERS[name]}")
    if "tensorboard" in options.report_to:
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(out / "tensorboard"))
    ours = _ours(options, out)
    _check_names(options.trainer, ours)
    without_accelerator = {} if torch.accelerator.is_available() else {"use_cpu": True}  # lets it take bf16
    try:
        arguments = TrainingArguments(**ours, **without_accelerator | options.trainer)
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"train: {_first_line(error)}") from error
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several are for torchrun; nn.DataParallel is no match for it
    return arguments


def _ours(options: Train, out: Path) -> dict[str, Any]:
    return {
        "output_dir": str(out),
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.accumulate,
        "max_steps": 1,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if options.schedule == "constant" else options.schedule,
        "adam_beta1": options.betas[0],
        "adam_beta2": options.betas[1],
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
        "bf16": uses_bf16(options),
        "activation_checkpointing": options.gradient_checkpointing,
        "logging_strategy": "steps",
        "logging_steps": options.log_every,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": options.save_every,
        "report_to": options.report_to,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_num_workers": options.workers,
        "seed": options.seed,
    }


def uses_bf16(options: Train) -> bool:
    """Whether matrices are multiplied in bf16; weights and optimiser stay fp32."""
    import torch

    if options.precision != "auto":
        return options.precision == "bf16"
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _check_names(given: dict[str, Any], ours: dict[str, Any]) -> None:
    from transformers import TrainingArguments

    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in given:
        if name in ours:
            raise UserError(f"train.trainer.{name}: say it with the options of `train:` itself")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else "; see transformers.TrainingArguments"
            raise UserError(f"train.trainer.{name}: there is no such option{hint}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

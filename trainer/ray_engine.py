"""A training on a Ray cluster: each worker is a process of one training, as under torchrun.

Ray Train starts the workers, tells them of each other, and starts them anew when one is lost; the training
then goes on from its last checkpoint, which must lie in a folder that all machines share.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train
from gritmill.trainer.train import Trained, finished, train

_FAILURES = 3
"""Lost workers until a training is given up."""


def train_on_ray(
    options: Train,
    dataset: str,
    out: str,
    made_from: Mapping[str, Any],
    resume: bool = True,
    workers: int | None = None,
    address: str | None = None,
    replace: bool = False,
) -> Trained:
    """As `train`, by `workers` processes: as many as the cluster has GPUs, or one if it has none.

    Raises `UserError` as `train` does, and where Ray Train cannot be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise UserError(f"Ray Train is not installed ({error.name}); pip install 'ray[train]'") from error

    folder = Path(out).absolute()
    if not ray.is_initialized():
        address = address or os.environ.get("RAY_ADDRESS")
        try:
            ray.init(address=address or "local", include_dashboard=None if address else False)
        except ConnectionError as error:
            raise UserError(
                f"no Ray cluster answers at {address}; start one with `ray start --head`"
            ) from error
    gpus = int(ray.cluster_resources().get("GPU", 0))
    said = options.model_dump(exclude_unset=True)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"place": (said, dataset, str(folder), dict(made_from), resume, replace)},
        scaling_config=ScalingConfig(num_workers=workers or max(1, gpus), use_gpu=gpus > 0),
        run_config=RunConfig(
            name="ray", storage_path=str(folder / ".ray"), failure_config=FailureConfig(_FAILURES)
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        for failure in getattr(error, "worker_failures", {}).values():
            if mistake := _mistake(failure):
                raise mistake from error
        raise
    return finished(out)


def _work(config: dict[str, Any]) -> None:
    options, dataset, out, made_from, resume, replace = config["place"]
    train(Train.model_validate(options), dataset, out, made_from, resume, replace=replace)


def _mistake(error: BaseException | None) -> UserError | None:
    """The user's mistake among the causes of what a worker failed with."""
    while error is not None and not isinstance(error, UserError):
        error = getattr(error, "_base_exc", None) or getattr(error, "cause", None) or error.__cause__
    return error

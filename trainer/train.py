"""Trains a model on the shards of a dataset. Interrupted at any moment, it goes on as if it had not been.

out.model/log.jsonl  report.md  gritmill.json  checkpoint-1000/  model/
"""

import logging
import math
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train
from gritmill.trainer import log as logs
from gritmill.trainer import provenance
from gritmill.trainer.arguments import training_arguments, uses_bf16
from gritmill.trainer.collate import Collator
from gritmill.trainer.folder import MODEL, REPORT, Folder
from gritmill.trainer.log import BadSamples, Line, Log
from gritmill.trainer.models.base import Adapter
from gritmill.trainer.presets import fill
from gritmill.trainer.provenance import Provenance

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a training ends with."""

    model_dir: Path
    """The model with its processor, for `trainer.models.load`."""
    log: Path
    steps: int
    samples: int
    left_out: str | None
    """Samples that were left out, and why; None if none was."""


@dataclass(frozen=True)
class TrainingSamples:
    """What is trained on, and in which order."""

    dataset: Any
    """A `Mixture`, or a stream that ends never and is this device's alone."""
    order: Any
    """A `TrainingOrder`; None for a stream, which brings its own."""
    steps: int
    checksums: dict[str, dict[str, str]]
    """Folder -> shard -> SHA-256."""


def is_main_process() -> bool:
    """True for the process that prints and writes, under torchrun, accelerate and Ray, too."""
    return int(os.environ.get("RANK", 0)) == 0


def train(
    options: Train,
    dataset: str,
    out: str,
    made_from: Mapping[str, Any],
    resume: bool = True,
    progress: Callable[[Line], None] = lambda line: None,
    replace: bool = False,
) -> Trained:
    """Trains on the split `train` of the dataset in a folder; log, checkpoints and model go into `out`.

    Goes on from the last checkpoint in `out`, if any, and does nothing there if the training is done;
    without `resume` it begins anew. Only with `replace` is another training in `out` replaced. `made_from`
    says what made the dataset: it is saved with the model, and a training is not continued with another.
    `progress` is called with each line of the log, by the main process alone. Every process of torchrun
    calls this. Raises `UserError`.
    """
    import torch.distributed
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # Ray Train has begun a group of processes by now and ends it itself; torchrun has left both to us.
    is_in_group = torch.distributed.is_initialized()
    options, global_batch, note = fill(options, int(os.environ.get("WORLD_SIZE", 1)))
    folder = Folder(out)
    with folder.locked() if is_main_process() else nullcontext():
        arguments = training_arguments(options, folder.path)
        if is_main_process():
            if note:
                log.warning("%s", note)
            if not resume:
                folder.clear()
        with arguments.main_process_first(
            local=False
        ):  # it writes the shards' indexes, which the others read
            samples = training_samples(options, dataset, global_batch, arguments)
        made = provenance.provenance(
            options,
            made_from=made_from,
            shards=samples.checksums,
            global_batch=global_batch,
            steps=samples.steps,
        )
        with arguments.main_process_first(local=False):
            if replace and is_main_process():
                folder.clear_other(made)
            folder.check(made)
        if not folder.model.exists():
            model, adapter, made["model"] = load_model(options, samples)
            made["dialect"] = adapter.dialect.name
            fit(model, adapter, samples, arguments, folder, made, options.keep, progress)
    if torch.distributed.is_initialized() and not is_in_group:
        # A process that ends while gloo's threads still run is aborted now and then.
        torch.distributed.destroy_process_group()
    return finished(out)


def fit(
    model: Any,
    adapter: Adapter,
    samples: TrainingSamples,
    arguments: Any,
    folder: Folder,
    made: Provenance,
    keep: int,
    progress: Callable[[Line], None] = lambda line: None,
) -> None:
    """Trains from the folder's last checkpoint to the end, and saves the model there."""
    from gritmill.trainer.loop import GroundingTrainer
    from gritmill.trainer.models.save import save

    with arguments.main_process_first(local=False):
        folder.claim(made)
        checkpoints = folder.checkpoints()
        step = max(checkpoints, default=0)
        bad = BadSamples([line for line in logs.read(folder.log) if line["step"] <= step])
        written = Log(folder.log, step) if is_main_process() else None

    def write(line: Line) -> None:
        assert written is not None
        written.append(line)
        progress(line)

    arguments.max_steps = samples.steps
    arguments.warmup_steps = math.ceil(made["train"]["warmup"] * samples.steps)
    trainer = GroundingTrainer(
        model, arguments, Collator(adapter), samples.dataset, samples.order, folder, made, bad, keep, write
    )
    trainer.train(resume_from_checkpoint=str(checkpoints[step]) if step else None)
    gathered = trainer.gathered_weights()
    if is_main_process():
        whole = trainer.accelerator.unwrap_model(trainer.model)
        if gathered is not None:
            whole = load_model(Train.model_validate(made["train"]), samples)[0]
            whole.load_state_dict(gathered)
        folder.clear_unfinished()
        save(whole, adapter, folder.unfinished / MODEL)
        (folder.path / REPORT).write_text(logs.report(logs.read(folder.log)), encoding="utf-8")
        folder.finish(MODEL, made)
    trainer.accelerator.wait_for_everyone()


def training_samples(options: Train, dataset: str, global_batch: int, arguments: Any) -> TrainingSamples:
    """Opens the dataset and those of `mix`. Raises `UserError` where there are none."""
    from gritmill.trainer.data.order import TrainingOrder
    from gritmill.trainer.data.shards import Mixture, checksums, open_split, split_shards
    from gritmill.trainer.data.streaming import StreamingMixture, StreamingShards

    weights = {dataset: 1.0, **options.mix}
    shards = {folder: split_shards(folder, "train") for folder in weights}
    sums = {folder: checksums(paths) for folder, paths in shards.items()}
    if options.streaming:
        if options.max_steps is None:
            raise UserError("train.streaming: a stream has no end; set train.max_steps")
        if options.curriculum:
            raise UserError("train.streaming: a stream cannot be sorted; leave out train.curriculum")
        place = (options.seed, arguments.process_index, arguments.world_size)
        streams = [StreamingShards(paths, *place) for paths in shards.values()]
        stream = StreamingMixture(streams, list(weights.values()))
        return TrainingSamples(stream, None, options.max_steps, sums)
    datasets = [open_split(folder, "train") for folder in weights]
    total = options.epochs * len(datasets[0]) * sum(weights.values())
    steps = options.max_steps or max(1, math.ceil(total / global_batch))
    order = TrainingOrder(
        [one.boxes for one in datasets],
        list(weights.values()),
        steps,
        global_batch,
        options.curriculum,
        options.seed,
    )
    return TrainingSamples(Mixture(datasets), order, steps, sums)


def load_model(options: Train, samples: TrainingSamples) -> tuple[Any, Adapter, str]:
    """The model with what is to be trained of it, its adapter, and which one it is."""
    from transformers import set_seed

    from gritmill.trainer.models import tiny
    from gritmill.trainer.models.load import load
    from gritmill.trainer.models.tune import prepare

    set_seed(options.seed)
    if options.model == tiny.NAME:
        model, adapter = tiny.from_options(options, samples.dataset)
        return prepare(model, adapter, options), adapter, tiny.NAME
    # Weights that are trained stay fp32 under bf16; those that only carry adapters need not.
    dtype = "bfloat16" if options.lora and uses_bf16(options) else "float32"
    model, adapter, name = load(
        options.model, options.revision, options.dialect, options.max_length, dtype, options.family
    )
    return prepare(model, adapter, options), adapter, name


def finished(out: str) -> Trained:
    """What a training has left in its folder when it is done."""
    folder = Folder(out)
    lines = logs.read(folder.log)
    return Trained(folder.model, folder.log, lines[-1]["step"], lines[-1]["samples"], logs.bad_summary(lines))

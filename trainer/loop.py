"""transformers.Trainer, with what it lacks for trainings that are interrupted and samples that are bad.

- The data loader follows an order of the whole training, which each device takes its share of.
- A checkpoint is written aside and renamed; the log has a line at each.
- Weights are saved under the names that they have in memory: the original names of some vision-language
  models are others, and loading those would leave every weight as it was.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from accelerate.utils import gather_object
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback

from gritmill.schemas.errors import UserError
from gritmill.trainer.collate import Collator
from gritmill.trainer.data.examples import Bad
from gritmill.trainer.folder import Folder
from gritmill.trainer.log import BadSamples, Line
from gritmill.trainer.models.base import Batch, Tensors
from gritmill.trainer.provenance import Provenance


@dataclass
class Count:
    """What one device has met since the last line of the log."""

    tokens: int = 0
    left_out: int = 0
    bad: list[Bad] = field(default_factory=list)
    waited: float = 0.0

    def tensors(self, batch: Batch) -> Tensors:
        """Counts a batch; its tensors alone go on to the model."""
        mask = batch.tensors.get("attention_mask")
        self.tokens += int(batch.tensors["labels"].numel() if mask is None else mask.sum())
        self.left_out += batch.left_out
        self.bad += [Bad(*sample) for sample in batch.bad]  # pinning memory makes other tuples of them
        return batch.tensors


class LogAtCheckpoints(TrainerCallback):
    """A resumed training begins to sum up its loss at its checkpoint; an uninterrupted one must, too."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:
            control.should_log = True


class GroundingTrainer(Trainer):
    """Trains a model on samples in a given order. Line by line its log goes to `write`."""

    def __init__(
        self,
        model: Any,
        arguments: Any,
        collator: Collator,
        samples: Any,
        order: Sampler[int] | None,
        folder: Folder,
        made: Provenance,
        bad: BadSamples,
        keep: int,
        write: Callable[[Line], None],
    ) -> None:
        super().__init__(
            model,
            arguments,
            data_collator=collator,
            train_dataset=samples,
            processing_class=collator.adapter.processor,
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(LogAtCheckpoints())
        self.order, self.folder, self.made, self.bad = order, folder, made, bad
        self.keep, self.write = keep, write
        self._count = Count()
        self._since = time.perf_counter()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Not prepared by accelerate, which would divide a second time what is one device's share."""
        arguments = self.args
        options: dict[str, Any] = {
            "collate_fn": self.data_collator,
            "num_workers": arguments.dataloader_num_workers,
            "pin_memory": arguments.dataloader_pin_memory and torch.cuda.is_available(),
            "prefetch_factor": arguments.dataloader_prefetch_factor,
            "generator": torch.Generator().manual_seed(arguments.seed),
        }
        size = arguments.per_device_train_batch_size
        if isinstance(self.train_dataset, IterableDataset):
            return DataLoader(self.train_dataset, batch_size=size, **options)
        assert self.order is not None
        batches = BatchSampler(self.order, size, drop_last=True)
        share = BatchSamplerShard(batches, arguments.world_size, arguments.process_index)
        return DataLoader(self.train_dataset, batch_sampler=share, **options)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Takes the bad samples out of the batches of a step, and counts."""
        start = time.perf_counter()
        taken = map(self._count.tensors, epoch_iterator)
        batches, items = super().get_batch_samples(taken, num_batches, device)
        self._count.waited += time.perf_counter() - start
        # 0 answers on all devices, should every sample of a step be bad: the loss is then 0, and not 0 / 0.
        return batches, items if items is None else torch.clamp(torch.as_tensor(items), min=1)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return  # a summary of times
        super().log(logs, start_time)
        step = self.state.global_step
        for name in ("loss", "grad_norm"):
            if not torch.isfinite(torch.tensor(logs[name])):
                raise UserError(
                    f"the training has failed: {name} is {logs[name]} at step {step:,}. "
                    "Lower train.learning_rate, or set train.precision to fp32."
                )
        # of all devices, in their order
        counts: list[Count] = gather_object([self._count])
        bad = [sample._asdict() for count in counts for sample in count.bad]
        now = time.perf_counter()
        line: Line = {
            "step": step,
            "samples": step * self.made["global_batch"],
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "grad_norm": logs["grad_norm"],
            "tokens": sum(count.tokens for count in counts),
            "left_out": sum(count.left_out for count in counts),
            "bad": bad,
            "seconds": round(now - self._since, 3),
            "waited": round(self._count.waited, 3),
        }
        self._since, self._count = now, Count()
        if self.is_world_process_zero():
            self.write(line)
        self.bad.add(bad)
        self.bad.check(line["samples"], at_the_end=step == self.state.max_steps)

    def gathered_weights(self) -> dict[str, Any] | None:
        """The trained weights where each device has a part of them; None if the model has them whole."""
        if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            return None
        gathered: dict[str, Any] = self.accelerator.get_state_dict(self.model_wrapped)
        return gathered

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder.unfinished)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:
            self.folder.clear_unfinished()
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.folder.finish(f"checkpoint-{self.state.global_step}", self.made)
            self.folder.keep_last(self.keep)
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if not self.args.should_save:
            return
        model = self.accelerator.unwrap_model(self.model)
        names = {} if hasattr(model, "peft_config") else {"save_original_format": False}
        model.save_pretrained(output_dir, state_dict=state_dict, **names)
        self.processing_class.save_pretrained(output_dir)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        tied = set(getattr(self.accelerator.unwrap_model(self.model), "all_tied_weights_keys", None) or {})
        missing, unexpected = set(load_result.missing_keys) - tied, load_result.unexpected_keys
        if missing or unexpected:
            raise AssertionError(f"a checkpoint does not fit its model: {sorted(missing)}, {unexpected}")

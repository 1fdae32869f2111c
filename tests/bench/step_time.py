"""What our trainer adds to a step: against a bare PyTorch loop on the same model and the same batches.

    python -m tests.bench.step_time [--steps 60] [--rounds 3] [--width 128]

The model is a small LLaVA with new weights. Batches are made beforehand, so that no arm waits for data; both
arms take AdamW's step, shorten the gradient to length 1, and let the learning rate fall. The trainer also
logs every tenth step; saving is not timed. The arms take turns; the first steps of each do not count. On a
busy machine the seconds of the processor, of one thread, say more than those of the clock.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from gritmill.schemas.training import Train
from gritmill.trainer.collate import Collator
from gritmill.trainer.models.base import Adapter, Batch
from tests.bench.tables import print_table

WARM_UP = 5


class Times(NamedTuple):
    """Seconds since some beginning."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> "Times":
        return cls(time.perf_counter(), time.process_time())

    def since(self, before: "Times") -> "Times":
        return Times(self.clock - before.clock, self.processor - before.processor)


class Fixed(Collator):
    """Gives the same batches again and again."""

    def __init__(self, adapter: Adapter, batches: list[Batch]) -> None:
        super().__init__(adapter)
        self.batches = batches

    def __call__(self, numbers: Sequence[Any]) -> Batch:
        batch = self.batches[numbers[0] // len(numbers) % len(self.batches)]
        return Batch(dict(batch.tensors), batch.bad)


def bare(make_model: Callable[[], Any], batches: list[Batch], options: Train, steps: int) -> list[Times]:
    """Seconds of each step of a loop as one would write it."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    model = make_model().train()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimiser, 0, steps)
    times, losses = [Times.now()], 0.0
    for step in range(steps):
        tensors = {name: tensor.to(device) for name, tensor in batches[step % len(batches)].tensors.items()}
        loss = model(**tensors).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses += loss.item()
        times.append(Times.now())
    return _steps(times)


def ours(make_model: Callable[[], Any], fixed: Fixed, options: Train, steps: int) -> list[Times]:
    """Seconds from the end of a step to the end of the next, those that are logged included."""
    from transformers import TrainerCallback

    from gritmill.trainer.arguments import training_arguments
    from gritmill.trainer.folder import Folder
    from gritmill.trainer.log import BadSamples
    from gritmill.trainer.loop import GroundingTrainer

    times: list[Times] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times.append(Times.now())

    with tempfile.TemporaryDirectory() as name:
        folder = Folder(name)
        arguments = training_arguments(options, folder.path)
        arguments.max_steps, arguments.save_strategy = steps, "no"
        made = {"global_batch": options.batch_size}
        numbers = range(steps * options.batch_size)
        trainer = GroundingTrainer(
            make_model(),
            arguments,
            fixed,
            numbers,
            numbers,
            folder,
            made,
            BadSamples([]),
            1,
            lambda line: None,
        )
        trainer.add_callback(Clock())
        trainer.train()
        times.append(Times.now())
    return _steps(times)


def _steps(times: list[Times]) -> list[Times]:
    return [after.since(before) for before, after in pairwise(times)]


def batches_of(adapter: Any, size: int, count: int) -> Iterator[Batch]:
    from PIL import Image

    from gritmill.schemas.boxes import Box
    from gritmill.schemas.conversations import Conversation, Turn, TurnRegion
    from gritmill.trainer.data.examples import Example

    def turns(number: int) -> Iterator[Turn]:
        for i in range(6):
            asked = f"Where is the small red circle number {number + i}?"
            yield Turn("human", "rec", asked if i else f"<image>\n{asked}", [], [])
            yield Turn("assistant", "rec", "<region:0>", [TurnRegion([Box(0.1, 0.1, 0.5 + i / 20, 0.6)])], [])

    image = Image.new("RGB", (64, 64), "red")
    for start in range(0, size * count, size):
        keys = range(start, start + size)
        yield adapter.train_batch([Example(f"{n}", f"{n}", image, Conversation([*turns(n)])) for n in keys])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128, help="of the language model")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()

    import tiny_vlms
    import torch
    import transformers

    from gritmill.trainer.models.load import load

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        loaded = load(str(tiny_vlms.llava(Path(name))))
        config = loaded.model.config
        config.text_config.hidden_size = given.width
        config.text_config.intermediate_size = 4 * given.width
        config.text_config.num_hidden_layers = given.layers
        config.text_config.head_dim = given.width // config.text_config.num_attention_heads
        batches = list(batches_of(loaded.adapter, given.batch, 4))

        def make_model() -> Any:
            torch.manual_seed(0)
            return transformers.LlavaForConditionalGeneration(config)

        options = Train(model=name, batch_size=given.batch, learning_rate=1e-4, workers=0, precision="fp32")
        arms: dict[str, list[Times]] = {"bare loop": [], "trainer": []}
        for _ in range(given.rounds):
            arms["bare loop"] += bare(make_model, batches, options, given.steps)[WARM_UP:]
            fixed = Fixed(loaded.adapter, batches)
            arms["trainer"] += ours(make_model, fixed, options, given.steps)[WARM_UP:]
    means = {
        arm: (
            statistics.median(t.clock for t in times),
            statistics.median(t.processor for t in times),
            statistics.mean(t.processor for t in times),
        )
        for arm, times in arms.items()
    }
    ratios = [ours / loop for ours, loop in zip(means["trainer"], means["bare loop"], strict=True)]
    tokens = batches[0].tensors["attention_mask"].sum().item()
    print_table(
        f"a step of {given.batch} samples, about {tokens:,} tokens",
        ["arm", "clock, median ms", "processor, median ms", "processor, mean ms"],
        [
            *((arm, *(f"{1000 * value:.1f}" for value in values)) for arm, values in means.items()),
            ("trainer / loop", *(f"{ratio:.3f}" for ratio in ratios)),
        ],
    )


if __name__ == "__main__":
    main()

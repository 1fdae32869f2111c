"""How well a GPU is used in training Kosmos-2: full size, random weights, bf16, by the whole trainer.

    python -m tests.bench.gpu_kosmos2 [--batch 32] [--steps 60] [--workers 8] [--checkpointing]

Photographs of 640 x 480 are decoded from shards, scaled, tokenized and collated by the loader's workers, as
in any training. The tokenizer's vocabulary is a small one, for the published one is no part of this project;
ids are of no matter to the time. Counted are tokens a second (64 of each sample are the image's), the model
FLOPs of a step (`torch.utils.flop_counter`: matrix products and attention of one forward and one backward
pass, not what checkpointing does twice) over what the GPU can do in bf16, and the share of the time in which
it waits for data. Needs a GPU; says so and ends without one.
"""

import argparse
import io
import json
import statistics
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import numpy as np
from PIL import Image

from tests.bench.tables import print_table

PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12, "L40S": 362e12, "4090": 165e12}
"""FLOP a second in dense bf16, from the makers' data sheets (of the SXM boards)."""
SIDE = 224
CAPTION = (
    "a dog in a field of flowers and a man with a hat who throws a red ball to the left of the dog. " * 2
)


def save_shard(path: Path, samples: int) -> None:
    """Noise in large patches, which JPEG needs about as many bytes for as it does for photographs."""
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for number in range(samples):
            patches = rng.integers(0, 255, (48, 64, 3), np.uint8)
            file = io.BytesIO()
            Image.fromarray(patches).resize((640, 480), Image.Resampling.BICUBIC).save(
                file, "JPEG", quality=90
            )
            regions = [[0, 5, 0.1, 0.1, 0.5, 0.5, 1.0], [36, 41, 0.5, 0.2, 0.9, 0.8, 1.0]]
            record = {"key": f"{number}", "caption": CAPTION, "ref_exps": regions}
            for end, data in ("jpg", file.getvalue()), ("json", json.dumps(record).encode()):
                member = tarfile.TarInfo(f"{number:06}.{end}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def full_size(folder: Path) -> tuple[Any, Any]:
    """Kosmos-2 as published, with new weights, and an adapter whose vocabulary is small."""
    import tiny_vlms
    import torch
    import transformers

    from gritmill.trainer.models.load import load

    tiny = load(str(tiny_vlms.kosmos2(folder)))
    pictures = tiny.adapter.processor.image_processor
    pictures.size = pictures.crop_size = {"height": SIDE, "width": SIDE}
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = transformers.Kosmos2ForConditionalGeneration(transformers.Kosmos2Config())
    return model, tiny.adapter


def flops_of(model: Any, tensors: dict[str, Any]) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.autocast("cuda", torch.bfloat16):
        model(**{name: tensor.cuda() for name, tensor in tensors.items()}).loss.backward()
    model.zero_grad()
    return int(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--checkpointing", action="store_true", help="less memory for more time")
    given = parser.parse_args()

    import torch

    if not torch.cuda.is_available():
        sys.exit("There is no GPU here; nothing was measured.")
    from gritmill.schemas.training import Train
    from gritmill.trainer import provenance
    from gritmill.trainer.arguments import training_arguments
    from gritmill.trainer.collate import Collator
    from gritmill.trainer.folder import Folder
    from gritmill.trainer.log import BadSamples, Line
    from gritmill.trainer.loop import GroundingTrainer
    from gritmill.trainer.train import training_samples

    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        save_shard(root / "shards" / "data" / "train-00000-of-00001.tar", given.samples)
        model, adapter = full_size(root / "tiny")
        options = Train(
            model="kosmos-2",
            batch_size=given.batch,
            max_steps=given.steps,
            workers=given.workers,
            log_every=10,
            precision="bf16",
            gradient_checkpointing=given.checkpointing,
            trainer={"tf32": True},
        )
        folder = Folder(str(root / "out"))
        arguments = training_arguments(options, folder.path)
        samples = training_samples(options, str(root / "shards"), given.batch, arguments)
        collator = Collator(adapter)
        first = collator([samples.dataset[number] for number in range(given.batch)])
        flops = flops_of(model, first.tensors)
        arguments.max_steps, arguments.save_strategy = given.steps, "no"
        made: provenance.Provenance = {"global_batch": given.batch}
        trainer = GroundingTrainer(
            model,
            arguments,
            collator,
            samples.dataset,
            samples.order,
            folder,
            made,
            BadSamples([]),
            1,
            lines.append,
        )
        torch.cuda.reset_peak_memory_stats()
        trainer.train()
    steady = lines[2:] or lines[-1:]
    seconds = sum(line["seconds"] for line in steady)
    per_step = statistics.median(line["seconds"] / 10 for line in steady)
    device = torch.cuda.get_device_name()
    peak = next((value for part, value in PEAKS.items() if part in device), None)
    done = flops / per_step
    rows = [
        ("parameters", f"{sum(p.numel() for p in model.parameters()) / 1e9:.2f} billion"),
        ("tokens of a sample", f"{first.tensors['attention_mask'].sum().item() / given.batch:.0f}"),
        ("step of " + f"{given.batch} samples", f"{1000 * per_step:.0f} ms"),
        ("tokens a second", f"{sum(line['tokens'] for line in steady) / seconds:,.0f}"),
        ("samples a second", f"{given.batch / per_step:,.0f}"),
        ("model FLOPs a second", f"{done / 1e12:.0f} TFLOP/s"),
        ("of what the GPU can do", f"{done / peak:.1%}" if peak else "unknown for this GPU"),
        ("waits for data", f"{sum(line['waited'] for line in steady) / seconds:.1%} of the time"),
        ("most memory", f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"),
    ]
    print_table(f"Kosmos-2, full size, bf16, {device}", ["", ""], rows)


if __name__ == "__main__":
    main()

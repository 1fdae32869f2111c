"""A small LLaVA and a few shards, to train and be trained on in seconds.

    python -m tiny_training LLAVA SHARDS OUT '{"max_steps": 8, ...}' [step|weights|rename]

trains, as `pipeline train` would, and is killed in a step, or while it writes a checkpoint.
"""

import hashlib
import io
import json
import logging
import os
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any

import tiny_vlms
from PIL import Image, ImageDraw

from gritmill.schemas.boxes import Box
from gritmill.schemas.conversations import Conversation, Turn, TurnRegion, to_json
from gritmill.schemas.errors import UserError
from gritmill.schemas.training import Train

SIDE = tiny_vlms.SIDE
COLOURS = ["red", "blue", "green", "yellow", "purple"]


def save_llava(folder: Path, dropout: float = 0.1) -> Path:
    """A new model with its processor, as `from_pretrained` reads them; dropout makes a training random."""
    config = tiny_vlms.llava(folder) / "config.json"
    values = json.loads(config.read_text())
    values["text_config"]["attention_dropout"] = dropout
    config.write_text(json.dumps(values))
    return folder


def save_shards(
    folder: Path, samples: int, broken: int = 0, answer: str = "<region:0>", shards: int = 2
) -> Path:
    """Squares on white, each with a question where it is; of the first `broken` samples no image opens."""
    (folder / "data").mkdir(parents=True)
    sums = []
    for shard in range(shards):
        path = folder / "data" / f"train-{shard:05}-of-{shards:05}.tar"
        with tarfile.open(path, "w") as tar:
            for number in range(shard, samples, shards):
                _add(tar, number, number < broken, answer)
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  data/{path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def _add(tar: tarfile.TarFile, number: int, broken: bool, answer: str) -> None:
    x, y, colour = number * 5 % 17, number * 7 % 17, COLOURS[number % 5]
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).rectangle((x, y, x + 11, y + 11), fill=colour)
    file = io.BytesIO()
    image.save(file, "PNG")
    box = Box(x / SIDE, y / SIDE, (x + 12) / SIDE, (y + 12) / SIDE)
    turns = [
        Turn("human", "rec", f"<image>\nWhere is the {colour} square?", [], []),
        Turn("assistant", "rec", answer, [TurnRegion([box])], []),
    ]
    record = {"key": f"sample-{number:04}", "conversations": to_json([Conversation(turns)]), "ref_exps": []}
    for end, data in (
        ("png", b"no image" if broken else file.getvalue()),
        ("json", json.dumps(record).encode()),
    ):
        member = tarfile.TarInfo(f"{number:06}.{end}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def curve(out: Path) -> list[dict[str, Any]]:
    """The lines of the log without times."""
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in ("seconds", "waited")} for line in lines]


def weights(folder: Path) -> dict[str, bytes]:
    """Name -> content of a folder's files of weights."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def options(model: Path, **more: Any) -> Train:
    """Eight steps of four samples, with dropout, a line a step, and a checkpoint every third."""
    values = {"model": str(model), "max_steps": 8, "batch_size": 4, "learning_rate": 1e-3, "workers": 0}
    return Train.model_validate({**values, "log_every": 1, "save_every": 3, "precision": "fp32", **more})


def main() -> None:
    from gritmill.trainer.train import is_main_process, train

    logging.basicConfig(level=logging.WARNING)
    model, shards, out, more, *place = sys.argv[1:]
    write_down_keys(Path(out))
    if place:
        die_at(*place)
    try:
        trained = train(options(Path(model), **json.loads(more)), shards, out, {"recipe": "test"})
    except UserError as error:
        sys.exit(f"Error: {error}")
    if is_main_process():
        print(f"{trained.steps} steps")


def write_down_keys(out: Path) -> None:
    """What each process has in its batches goes to OUT.0, OUT.1, ...; a line is a batch."""
    from gritmill.trainer.collate import Collator

    real = Collator.__call__

    def call(self: Collator, samples: Any) -> Any:
        with out.with_suffix(f".{os.environ.get('RANK', 0)}").open("a") as file:
            file.write(" ".join(sample.key for sample in samples) + "\n")
        return real(self, samples)

    Collator.__call__ = call  # type: ignore[method-assign]


def die(*_: Any, **__: Any) -> None:
    """As the kernel has it when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(place: str) -> None:
    """This process is killed in its fifth step, or while it writes its second checkpoint, or just after."""
    import torch

    from gritmill.trainer.folder import Folder
    from gritmill.trainer.loop import GroundingTrainer

    patched: dict[str, tuple[Any, str, int]] = {
        "step": (GroundingTrainer, "training_step", 5),
        "weights": (torch, "save", 4),
        "rename": (Folder, "finish", 2),
    }
    owner, name, count = patched[place]
    real, calls = getattr(owner, name), iter(range(1, count))

    def call(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if next(calls, None) else die()

    setattr(owner, name, call)


if __name__ == "__main__":
    main()

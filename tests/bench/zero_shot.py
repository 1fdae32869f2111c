"""Images per second of the grounder against the bare model: `python -m tests.bench.zero_shot`.

The bare model is given the very tensors that the grounder made, ready in memory: no images to decode and
resize, no phrases to pack, no boxes to read. Both take turns. What counts is the ratio; on the CPU of
processor time, which others on the machine disturb less, on a GPU of time on the wall, where
decoding hides behind the model's work if the worker has cores for it (`--cpus`).

Without `--model`, an architecture at its published size with random weights: speed does not depend on them.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from gritmill.stages.common.local_models import chosen_device, chosen_precision
from gritmill.stages.grounders.common.detector import Detector
from gritmill.stages.grounders.common.token_span import TokenSpanDetector
from gritmill.stages.grounders.transformers.grounder import TransformersGrounder
from gritmill.stages.noun_chunks import NounChunks
from tests.bench.tables import print_table

COCO_MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_mini"


class File:
    """An image of a folder, as a stage finds it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        return self.path.read_bytes()


class Recorded:
    """A model that remembers what it was given."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config
        self.inputs: list[dict[str, Any]] = []

    def __call__(self, **inputs: Any) -> Any:
        self.inputs.append(inputs)
        return self.model(**inputs)


def rows(count: int) -> dict[str, list[Any]]:
    """Photographs with a caption each and its noun chunks."""
    found = json.loads((COCO_MINI / "captions.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in found["images"]}
    captions = {row["image_id"]: row["caption"] for row in reversed(found["annotations"])}
    chosen = list(captions.items())[:count]
    stage = NounChunks()
    stage.setup()
    chunks = stage.process({"caption": [caption for _, caption in chosen]})["noun_chunks"]
    photographs = {path.name: path for path in COCO_MINI.rglob("*.jpg")}
    images = [File(photographs[names[key]]) for key, _ in chosen]
    return {"image": images, "caption": [caption for _, caption in chosen], "noun_chunks": chunks}


class RandomGroundingDino(TransformersGrounder):
    """grounding-dino-tiny at its size; the vocabulary knows the words of these captions."""

    side: int
    words: list[str]

    def _load(self) -> tuple[Detector, str]:
        special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
        vocabulary = [special.get(i, f"[unused{i}]") for i in range(1030)]
        vocabulary += [word for word in self.words if word not in vocabulary]
        device = chosen_device(self.device)
        model = transformers.GroundingDinoForObjectDetection(transformers.GroundingDinoConfig())
        detector = TokenSpanDetector(
            model.eval().to(device),
            transformers.GroundingDinoImageProcessorPil(
                size={"shortest_edge": self.side, "longest_edge": self.side * 1333 // 800}
            ),
            transformers.BertTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}),
            device,
            chosen_precision(self.precision, device),
        )
        return detector, "random"


def seconds(work: Callable[[], object], on_gpu: bool) -> float:
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def measure(stage: Any, batch: dict[str, list[Any]], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of (bare, grounder), in turns."""
    detector = stage._detector
    on_gpu = detector.device == "cuda"
    recorded = detector.model = Recorded(detector.model)
    stage.process(batch)  # warm, and what it asked is what the bare model gets
    asked = recorded.inputs
    detector.model = recorded.model
    bare, ours = [], []
    for _ in range(repeats):
        bare.append(seconds(lambda: [detector._run(**inputs) for inputs in asked], on_gpu))
        ours.append(seconds(lambda: stage.process(batch), on_gpu))
    return bare, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="hub id or folder instead of random weights")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--side", type=int, default=800, help="shortest side shown to random weights")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args()
    if not COCO_MINI.is_dir():
        raise SystemExit("needs the photographs of coco_mini, which lie beside the project and are not here")
    batch = rows(options.images)
    shared = {"cpus": options.cpus, "images_at_once": options.at_once}
    if options.model:
        stage = TransformersGrounder(model=options.model, **shared)
    else:
        words = sorted({word.strip(".,") for text in batch["caption"] for word in text.lower().split()})
        stage = RandomGroundingDino(words=words, side=options.side, **shared)
    stage.setup()
    bare, ours = measure(stage, batch, options.repeats)
    ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
    device = torch.cuda.get_device_name() if stage._detector.device == "cuda" else f"CPU of {os.cpu_count()}"
    print_table(
        f"{options.model or 'grounding-dino-tiny, random weights'}, {options.images} images, {device}",
        ("", "images/s", "ratio"),
        [
            ("bare model", f"{options.images / statistics.median(bare):.3f}", "1.00"),
            ("grounder", f"{options.images / statistics.median(ours):.3f}", f"{ratio:.3f}"),
        ],
    )


if __name__ == "__main__":
    main()

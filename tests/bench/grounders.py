"""`pipeline compare-grounders` on coco_mini with real weights: `python -m tests.bench.grounders`.

People's own boxes and YOLOX-nano's, each as they are and as SAM 2 tiny makes them anew from its masks.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import yaml
from rich.console import Console

from gritmill.pipeline.grounder_bench.compare import compare_grounders
from gritmill.pipeline.grounder_bench.table import comparison_table, heading
from gritmill.pipeline.grounder_bench.truth import Truth
from tests.bench.tables import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import sam2_tiny

SHARED = Path(__file__).resolve().parents[3] / "shared"
COCO_MINI = SHARED / "data" / "coco_mini"
YOLOX = SHARED / "models" / "yolox_nano.onnx"


def recipe(masks: bool) -> str:
    """Photographs with captions and boxes; with a segmenter if `masks`."""
    stages = [
        "image_check",
        {"noun_chunks": {"model": "en_core_web_sm"}},
        {"ground": {"grounder": "annotations"}},
    ]
    if masks:
        segment = {"segmenter": "onnx", "refine_boxes": True, **sam2_tiny.files()}
        stages += ["select_boxes", {"segment": segment}]
    source = {
        "type": "coco",
        "images": str(COCO_MINI / "images"),
        "captions": str(COCO_MINI / "captions.json"),
        "instances": str(COCO_MINI / "instances.json"),
    }
    return yaml.safe_dump({"name": "grounders", "source": source, "stages": stages, "output": {"dir": "out"}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--masks", action="store_true", help="also with SAM 2 tiny: half an hour of two cores"
    )
    parser.add_argument("--limit", type=int, help="samples to take")
    parser.add_argument("--truth", type=Truth, default=Truth.clear, choices=list(Truth))
    options = parser.parse_args()
    if not COCO_MINI.is_dir():
        raise SystemExit("needs the photographs of coco_mini, which lie beside the project and are not here")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grounders.yaml"
        path.write_text(recipe(options.masks), encoding="utf-8")
        variants = ["annotations", f"{{grounder: onnx, model: {YOLOX}}}"]
        samples, outcomes = compare_grounders(
            str(path),
            variants,
            truth=options.truth,
            limit=options.limit,
            say=lambda title: print(title, file=sys.stderr),
        )
    print(heading(samples))
    Console(width=120).print(comparison_table(samples, outcomes))
    print(machine())


if __name__ == "__main__":
    main()

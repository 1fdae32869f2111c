"""Writes wbf_reference.json: needs `pip install ensemble-boxes==1.0.9`, which brings numba and pandas."""

import importlib
import json
import random
from pathlib import Path
from typing import Any


def main() -> None:
    """Twenty sets of boxes that two or three detectors drew around three things."""
    cases = [_case(random.Random(seed)) for seed in range(1, 21)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(__file__).with_name("wbf_reference.json").write_text(f"[\n{lines}\n]\n")


def _case(chance: random.Random) -> dict[str, Any]:
    members = chance.choice([2, 3])
    weights = [chance.choice([0.5, 1, 2]) for _ in range(members)]
    things = [[chance.uniform(0.2, 0.8) for _ in "xy"] for _ in range(3)]
    boxes: list[list[list[float]]] = [[] for _ in range(members)]
    scores: list[list[float]] = [[] for _ in range(members)]
    for member in range(members):
        for x, y in chance.choices(things, k=chance.randint(1, 5)):
            corners = (x - 0.15, y - 0.1, x + 0.15, y + 0.1)
            shaken = (v + chance.uniform(-0.03, 0.03) for v in corners)
            boxes[member].append([round(min(max(v, 0), 1), 4) for v in shaken])
            scores[member].append(round(chance.uniform(0.1, 1), 4))
    labels = [[0] * len(of_member) for of_member in scores]
    published = importlib.import_module("ensemble_boxes").weighted_boxes_fusion
    found, certain, _ = published(boxes, scores, labels, weights=weights, iou_thr=0.55)
    given = [
        [member, *box, score]
        for member in range(members)
        for box, score in zip(boxes[member], scores[member], strict=True)
    ]
    fused = [[round(float(v), 6) for v in (*box, score)] for box, score in zip(found, certain, strict=True)]
    return {"weights": weights, "iou": 0.55, "boxes": given, "fused": fused}


if __name__ == "__main__":
    main()

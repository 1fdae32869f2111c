"""Golden rows: small recipes over inputs that are made here, and what each of their steps gives.

    python -m tests.golden.rows        writes rows.json anew, after a change that is meant

Pixels are no part of them: what Pillow and its libraries make of a picture differs with their release.
"""

import contextlib
import io
import json
import os
import sys
import tarfile
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import yaml
from PIL import Image

from gritmill.pipeline.engine.plan import Plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.results import read_result
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store

ROWS = Path(__file__).with_name("rows.json")
_OF_PIXELS = {"image_bytes", "size"}

_CHECK = {"image_check": {"min_side": 32}}
_CHUNKS = [
    _CHECK,
    {"noun_chunks": {"model": "en_core_web_sm"}},
    {"ground": {"grounder": "annotations"}},
]
_BOXES = [*_CHUNKS, {"select_boxes": {"min_score": 0.65, "nms_iou": 0.5}}]
_COCO = {"type": "coco", "images": "photos/", "captions": "captions.json", "instances": "instances.json"}
_ALL = ["webdataset", "parquet", "coco", "llava"]
_SCENES = {"type": "scenes", "count": 6, "seed": 3, "size": 64}

RECIPES: dict[str, tuple[dict[str, Any], list[Any], list[str]]] = {
    "grit": (
        _SCENES,
        ["caption_check", *_BOXES, "referring_expressions", "tasks", "caption_conversations"],
        _ALL,
    ),
    "simple": (_SCENES | {"style": "simple", "per": "image"}, [_CHECK, "caption_conversations"], _ALL),
    "chosen": (
        _COCO,
        [
            *_CHUNKS,
            {
                "select_boxes": {
                    "min_score": 0.1,
                    "nms_iou": 0.3,
                    "nested": "drop_inner",
                    "max_boxes_per_phrase": 2,
                }
            },
            {"referring_expressions": {"containment": "outermost"}},
        ],
        ["webdataset", "coco"],
    ),
    "folder": (
        {"type": "folder", "path": "photos"},
        [_CHECK, {"deduplicate_captions": {"by": "exact"}}, {"deduplicate_images": {"by": "exact"}}],
        ["webdataset"],
    ),
    "table": (
        {"type": "table", "path": "table.jsonl", "image": "file", "caption": "text", "root": "photos/"},
        [
            _CHECK,
            {"deduplicate_captions": {"by": "minhash"}},
            {"noun_chunks": {"model": "en_core_web_sm"}},
            {"concept_balance": {"min_frequency": 1, "max_captions": 2}},
        ],
        ["parquet"],
    ),
    "mix": (
        {
            "type": "mix",
            "sources": {"a": {"type": "folder", "path": "photos"}, "b": _SCENES},
            "keep": {"b": 0.5},
        },
        [_CHECK, {"balance_origins": {"shares": {"a": 1, "b": 2}}}],
        ["webdataset"],
    ),
    "tar": (
        {"type": "webdataset", "shards": "photos.tar"},
        [
            {"personal_data": {}},
            {"profanity": {}},
            _CHECK,
            {"licence": {"allow": ["cc*"]}},
            {"opt_out": {"lists": ["listed.txt"]}},
            {"image_quality": {"min_sharpness": None, "min_entropy": None, "max_clipped": None}},
        ],
        ["webdataset"],
    ),
    "asked": (
        _COCO,
        [
            _CHECK,
            {"context": {"boxes": "annotations"}},
            {"generate": {"backend": "echo"}},
            "reply_check",
            "parse_replies",
        ],
        ["webdataset", "llava"],
    ),
}
"""By name: source, stages, formats."""


class Made(NamedTuple):
    """What came of a recipe."""

    rows: dict[str, Any]
    """By step."""
    counted: dict[str, set[str]]
    """By step: the targets that its code counts."""
    ran: set[str]
    """Definitions that ran: `package.module:Class.method`."""


def made(name: str) -> Made:
    """Runs a recipe in a folder of its own."""
    source, stages, formats = RECIPES[name]
    with _folder():
        output = {"dir": "out", "formats": formats, "shard_size": "8kB", "splits": {"validation": 0.2}}
        recipe = {"name": name, "source": source, "stages": stages, "output": output}
        Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
        ran: set[str] = set()
        with _traced(ran):
            work = Store("out.work")
            plan = run(load_recipe("recipe.yaml"), work, LocalRunner(), Progress()).plan
        rows = dict(_rows(plan, work)) | {"write": sorted(_written())}
        counted = {step: set(made_of.code.counted) for step, made_of in plan.made_of.items()}
        return Made(rows, counted, ran)


class Proofs:
    """What the golden rows can tell of a change."""

    def __init__(self) -> None:
        stored = json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else {}
        self.made = {name: made(name) for name in RECIPES if name in stored}
        self.stored = stored

    def unproven(self, target: str, changed: set[str]) -> set[str]:
        """Those of the changed definitions of a target that its golden rows did not run; all of them where a
        row is another one, or there is none."""
        ran: set[str] = set()
        for name, made_ in self.made.items():
            for step in (step for step, counted in made_.counted.items() if target in counted):
                if _plain(made_.rows[step]) != self.stored[name][step]:
                    return changed
                ran |= made_.ran
        return changed - ran


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """A temporary folder with photographs, their captions and boxes."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("photos").mkdir()
            captions = ["A dog in a field.", "Two dogs and a cat on a sofa.", "The cat.", "A dog in a field."]
            for i, caption in enumerate(captions):
                Image.new("RGB", (64, 48), (40 * (i % 3), 90, 20)).save(f"photos/{i}.png")
                Path(f"photos/{i}.txt").write_text(caption)
            Path("listed.txt").write_text("http://example.org/2.png\n")
            with tarfile.open("photos.tar", "w") as tar:
                for i, caption in enumerate(captions):
                    said = {
                        "license": "cc by" if i else "all rights reserved",
                        "url": f"http://example.org/{i}.png",
                    }
                    _add(tar, f"{i}.png", Path(f"photos/{i}.png").read_bytes())
                    _add(tar, f"{i}.txt", f"{caption} Write to a.b@example.org.".encode())
                    _add(tar, f"{i}.json", json.dumps(said).encode())
            _json("table.jsonl", *({"file": f"{i}.png", "text": text} for i, text in enumerate(captions)))
            images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(4)]
            texts = [{"id": i, "image_id": i, "caption": text} for i, text in enumerate(captions)]
            boxes = [
                (0, 18, [2, 3, 20, 30]),
                (1, 18, [1, 1, 30, 20]),
                (1, 18, [2, 1, 30, 21]),
                (1, 17, [4, 9, 9, 9]),
            ]
            named = [
                {"id": i, "image_id": image, "category_id": kind, "bbox": box, "iscrowd": 0, "area": 300}
                for i, (image, kind, box) in enumerate(
                    [*boxes, (1, 18, [5, 5, 6, 6]), (3, 18, [0, 0, 64, 48])]
                )
            ]
            kinds = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
            _json("captions.json", {"images": images, "annotations": texts})
            _json("instances.json", {"images": images, "annotations": named, "categories": kinds})
            yield
        finally:
            os.chdir(here)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _json(path: str, *values: Any) -> None:
    Path(path).write_text("\n".join(map(json.dumps, values)))


@contextlib.contextmanager
def _traced(ran: set[str]) -> Iterator[None]:
    """Notes the functions of ours that are called."""
    seen: set[types.CodeType] = set()

    def called(frame: types.FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code not in seen:
            seen.add(frame.f_code)
            module = frame.f_globals.get("__name__", "")
            if module.startswith("gritmill."):
                # What lies within a function belongs to it.
                ran.add(f"{module}:{frame.f_code.co_qualname.partition('.<locals>')[0]}")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(before)


def _rows(plan: Plan, work: Store) -> Iterator[tuple[str, Any]]:
    for step in plan.steps:
        if step.kind in ("source", "stage", "process"):
            tables = [read_result(work, step.result(unit.id)) for unit in plan.parts]
            yield step.name, [_without_pixels(row) for table in tables for row in table.to_pylist()]


def _without_pixels(row: dict[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in row.items() if name not in _OF_PIXELS}
    if row.get("image"):
        row["image"] = {name: value for name, value in row["image"].items() if name == "uri"}
    return row


def _written() -> Iterator[str]:
    """The files of the dataset without pictures, each as a text."""
    for path in sorted(Path("out").rglob("*")):
        if path.suffix == ".tar":
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    assert file is not None
                    text = "" if member.name.endswith(".jpg") else file.read().decode("utf-8", "replace")
                    text = (
                        json.dumps(_without_pixels(json.loads(text)))
                        if member.name.endswith(".json")
                        else text
                    )
                    yield f"{path.name}/{member.name}: {'' if member.name.endswith('.png') else text}"
        elif path.suffix == ".parquet":
            yield f"{path.name}: {[_without_pixels(row) for row in pq.read_table(path).to_pylist()]}"
        elif path.suffix == ".json" and path.parent.name in ("coco", "llava"):
            yield f"{path.parent.name}/{path.name}: {path.read_text()}"


def _told(every: dict[str, dict[str, Any]]) -> str:
    """A line a row."""
    recipes = []
    for name, steps in every.items():
        told = [
            f"{json.dumps(step)}: [\n"
            + ",\n".join(json.dumps(row, default=str, ensure_ascii=False) for row in rows)
            + "\n]"
            for step, rows in steps.items()
        ]
        recipes.append(f"{json.dumps(name)}: {{\n" + ",\n".join(told) + "\n}")
    return "{\n" + ",\n".join(recipes) + "\n}\n"


if __name__ == "__main__":
    every = {name: made(name).rows for name in RECIPES}
    ROWS.write_text(_told(every), encoding="utf-8")

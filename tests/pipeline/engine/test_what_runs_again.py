"""Edits in a copy of the tree, and which steps each would have done again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
FOLDERS = ("gritmill", "pipeline", "prompts", "recipes", "schemas", "stages", "trainer")

GRIT = {
    "name": "grit",
    "source": {"type": "coco", "images": "photos/", "captions": "c.json", "instances": "c.json"},
    "stages": [
        "image_check",
        "caption_check",
        "noun_chunks",
        {"ground": {"grounder": "annotations"}},
        "select_boxes",
        "referring_expressions",
        {"acme.child:Child": {"as": "own"}},
        {
            "verify_boxes": {
                "agreement": {"grounder": "ensemble", "members": [{"grounder": "annotations"}] * 2}
            }
        },
    ],
    "output": {"dir": "out", "formats": ["webdataset", "coco"]},
}
SCENES = {
    "name": "scenes",
    "source": {"type": "scenes", "count": 4},
    "stages": ["image_check"],
    "output": {"dir": "o"},
}
WRITTEN = {
    "acme/helpers.py": "LIMIT = 3\n\n\ndef too_short(n):\n    return n < LIMIT\n",
    "acme/__init__.py": "",
    "acme/base.py": """
from third.pack import halved
from gritmill.stages.base import Stage
from .helpers import too_short


class Base(Stage):
    reads = ("caption",)
    writes = {"words": int}

    def process(self, batch):
        return {"words": [halved(len(c)) if too_short(len(c)) else 0 for c in batch["caption"]]}
""",
    "acme/child.py": "from acme.base import Base\n\n\nclass Child(Base):\n    pass\n",
    "third/pack.py": "def halved(n):\n    return n // 2\n\n\ndef unused(n):\n    return n\n",
}

LOOK = """
import importlib, json, sys
from pathlib import Path
from gritmill.pipeline.engine import identity, reach
from gritmill.pipeline.engine.plan import Parts, make_plan
from gritmill.pipeline.engine.recipes import load_recipe

jobs = {name: load_recipe(f"{name}.yaml") for name in ("grit", "scenes")}

def look():
    reach._content.cache_clear()
    importlib.invalidate_caches()
    identity.CODE = reach.CodeBase()
    plans = {name: make_plan(job, Parts.of([{"uri": "a"}])) for name, job in jobs.items()}
    return {name: {step: [made.digest, made.code.counted] for step, made in plan.made_of.items()}
            for name, plan in plans.items()}

found = [look()]
for edits in json.loads(sys.argv[1]):
    before = {}
    for file, old, new in edits:
        path = Path(file)
        before[path] = path.read_text() if path.exists() else None
        text = before[path] or ""
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1) if old else text + new)
    found.append(look())
    for path, text in before.items():
        path.unlink() if text is None else path.write_text(text)
assert look() == found[0]
print(json.dumps(found))
"""

NOTHING: dict[str, list[str]] = {"grit": [], "scenes": []}
Edit = tuple[str, str, str]

EDITS: dict[str, tuple[list[Edit], dict[str, list[str]]]] = {
    "an error is reworded": (
        [
            ("pipeline/storage/files.py", "cannot be listed", "could not be listed"),
            ("stages/image_check.py", "", "\n# said\n"),
        ],
        NOTHING,
    ),
    "an unused function": ([("schemas/boxes.py", "", "\n\ndef unused(box):\n    return box\n")], NOTHING),
    "a comment": ([("stages/select_boxes.py", "", "\n# a comment\n")], NOTHING),
    "a docstring": ([("stages/base.py", "Columns in, columns out", "Columns in, more out")], NOTHING),
    "a stage": (
        [
            (
                "stages/mine.py",
                "",
                "from gritmill.stages.base import Stage\n\n\nclass Mine(Stage):\n    pass\n",
            ),
            (
                "stages/registry.py",
                "STAGES: dict[str, str] = {",
                'STAGES: dict[str, str] = {\n    "mine": "gritmill.stages.mine:Mine",',
            ),
        ],
        NOTHING,
    ),
    "a grounder": (
        [
            (
                "stages/registry.py",
                '            "ensemble":',
                '            "mine": "gritmill.stages.mine:Mine",\n            "ensemble":',
            )
        ],
        NOTHING,
    ),
    "a source": (
        [
            (
                "pipeline/sources/registry.py",
                '    "coco":',
                '    "mine": "gritmill.pipeline.sources.mine:Mine",\n    "coco":',
            )
        ],
        NOTHING,
    ),
    "a dialect": (
        [
            (
                "schemas/dialects/__init__.py",
                '        "kosmos2":',
                '        "mine": "gritmill.schemas.dialects.mine:MINE",\n        "kosmos2":',
            )
        ],
        NOTHING,
    ),
    "a format": (
        [
            (
                "pipeline/output/formats.py",
                '        "coco":',
                '        "mine": "gritmill.pipeline.output.mine:MINE",\n        "coco":',
            )
        ],
        NOTHING,
    ),
    "a format that is not used": ([("pipeline/output/llava.py", "gpt", "model")], NOTHING),
    "a scene's colour": (
        [("pipeline/sources/scene/colours.py", "(", "(0 + ")],
        {"grit": [], "scenes": ["source"]},
    ),
    "iou": (
        [("schemas/boxes.py", "def iou(a: ", "def iou(z: ")],
        {"grit": ["select_boxes", "verify_boxes"], "scenes": []},
    ),
    "select_boxes": (
        [("stages/select_boxes.py", "self.min_score", "-self.min_score")],
        {"grit": ["select_boxes"], "scenes": []},
    ),
    "the annotations grounder, also within another": (
        [("stages/grounders/annotations.py", "self.score_threshold", "-self.score_threshold")],
        {"grit": ["ground", "verify_boxes"], "scenes": []},
    ),
    "the coco writer": (
        [("pipeline/output/coco.py", '"original_id": record', '"id_before": record')],
        {"grit": ["write"], "scenes": []},
    ),
    "a helper of one's own": (
        [("acme/helpers.py", "LIMIT = 3", "LIMIT = 5")],
        {"grit": ["own"], "scenes": []},
    ),
    "a base class of one's own": ([("acme/base.py", "else 0", "else 1")], {"grit": ["own"], "scenes": []}),
    "a third package": ([("third/pack.py", "n // 2", "n // 3")], {"grit": ["own"], "scenes": []}),
    "an unused function of a third package": ([("third/pack.py", "return n\n", "return -n\n")], NOTHING),
    "a statement beside the definitions": (
        [("stages/select_boxes.py", "", "\nSelectBoxes.process = sorted\n")],
        {"grit": ["select_boxes"], "scenes": []},
    ),
    "what all stages are built on": (
        [("stages/base.py", "return [stage for one in own", "return [stage for one in own[:]")],
        {
            "grit": [
                *("image_check", "caption_check", "noun_chunks", "ground", "select_boxes"),
                *("referring_expressions", "own", "verify_boxes", "shards", "write"),
            ],
            "scenes": ["image_check", "shards", "write"],
        },
    ),
}
"""What is edited, and the steps of each recipe whose code has then changed; what follows runs again, too."""


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    """The identities of all steps before any edit, and after each."""
    tree = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
    for name, text in WRITTEN.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    (tree / "photos").mkdir()
    (tree / "c.json").write_text('{"images": [], "annotations": [], "categories": []}')
    for recipe in (GRIT, SCENES):
        (tree / f"{recipe['name']}.yaml").write_text(json.dumps(recipe))
    edits = json.dumps([edits for edits, _ in EDITS.values()])
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tree)!r})\n{LOOK}", edits]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tree)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, dict[str, Any]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", EDITS)
def test_what_runs_again(name: str, looks: list[dict[str, dict[str, Any]]]) -> None:
    before, after = looks[0], looks[1 + list(EDITS).index(name)]
    expected = EDITS[name][1]
    for recipe, steps in before.items():
        changed = [step for step in steps if steps[step][1] != after[recipe][step][1]]
        assert changed == expected[recipe], recipe
        again = [step for step in steps if steps[step][0] != after[recipe][step][0]]
        order = list(steps)
        assert again == (order[order.index(changed[0]) :] if changed else []), recipe

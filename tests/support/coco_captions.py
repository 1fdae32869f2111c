"""Real captions of real photographs, as they reach a grounder."""

from pathlib import Path

from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.grounder_bench.questions import ask
from gritmill.pipeline.grounder_bench.truth import Truth
from gritmill.schemas.columns import Columns


def chunked(coco_mini: Path, limit: int) -> Columns:
    """The first samples of coco_mini after the stages of recipes/grit.yaml that come before the grounder."""
    files = {"images": "images", "captions": "captions.json", "instances": "instances.json"}
    recipe = load_recipe("grit", [f"source.{name}={coco_mini / file}" for name, file in files.items()])
    return ask(recipe, Truth.clear, limit).columns

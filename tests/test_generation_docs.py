"""Every command of docs/generation.md is one that the recipes take."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from gritmill.pipeline.engine.recipes import RecipeError, load_recipe

DOCS = Path(__file__).parent.parent / "docs" / "generation.md"
BLOCKS = re.findall(r"```\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [
    words
    for block in BLOCKS
    if "pipeline " in block
    # A command goes on after a backslash and within quotes.
    for part in re.split(r"\n(?=pipeline )", "\n" + block)[1:]
    if (words := shlex.split(part.split("\n\n")[0]))
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_recipes_take_the_options(words: list[str], coco_mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none of ours")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = [value for flag, value in itertools.pairwise(words) if flag == "--set"]
    source = f"{{type: coco, images: {coco_mini}/images, captions: {coco_mini}/captions.json, "
    source += f"instances: {coco_mini}/instances.json, per: image}}"
    try:
        load_recipe(words[2], [*overrides, f"source={source}"])
    except RecipeError as error:
        # Weights of gigabytes are not here.
        assert all("hub's cache" in mistake for mistake in error.mistakes)
        assert "phase2" in words[2]

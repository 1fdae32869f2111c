"""Two runs side by side."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.compare import (
    finished_run,
    funnel_comparison,
    model_directory,
    recipe_differences,
    recipe_table,
)
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

Write = Callable[..., Path]


def shown(table: object) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("a", "b", "differences"),
    [
        ({"name": "x"}, {"name": "x"}, []),
        ({"name": "x"}, {"name": "y"}, [("name", '"x"', '"y"')]),
        (
            {"stages": ["noun_chunks", {"ground": {"score_threshold": 0.1}}]},
            {"stages": [{"noun_chunks": None}, {"ground": {"score_threshold": 0.2}}]},
            [("stages.ground.score_threshold", "0.1", "0.2")],
        ),
        ({"stages": ["tasks"]}, {"stages": []}, [("stages.tasks", "{}", "-")]),
        (
            {
                "stages": [
                    {"ground": {"as": "a", "score_threshold": 1}},
                    {"ground": {"as": "b", "score_threshold": 1}},
                ]
            },
            {
                "stages": [
                    {"ground": {"as": "a", "score_threshold": 1}},
                    {"ground": {"as": "b", "score_threshold": 2}},
                ]
            },
            [("stages.b.score_threshold", "1", "2")],
        ),
        ({"train": {"betas": [0.9, 0.9]}}, {}, [("train.betas", "[0.9, 0.9]", "-")]),
    ],
)
def test_recipes_differ_in_options(a, b, differences):
    assert recipe_differences(a, b) == differences


def made(recipe: Path) -> Path:
    job = load_recipe(str(recipe))
    run(job, Store(job.output.dir + ".work"), LocalRunner(), Progress())
    return recipe


def test_two_runs_are_set_side_by_side(write_recipe: Write) -> None:
    source = "type: scenes, count: 12, part_size: 6"
    stages = ["image_check", "caption_check: {min_words: 2}"]
    a = finished_run(str(made(write_recipe(source, stages, "a", folder="a"))))
    stages = ["image_check", "caption_check: {min_words: 6}"]
    b = finished_run(str(made(write_recipe(source, stages, "b", folder="b")).parent / "b"))
    assert "stages.caption_check.min_words  2" in shown(recipe_table(a, b))
    funnel = shown(funnel_comparison(a, b)).splitlines()
    [line] = [line.split() for line in funnel if line.startswith("caption_check")]
    assert int(line[1]) > int(line[3])
    assert line[2].endswith("%")


def test_an_unfinished_run_is_named(write_recipe: Write) -> None:
    with pytest.raises(UserError, match="no finished dataset"):
        finished_run(str(write_recipe("type: scenes, count: 12", ["image_check"])))


@pytest.mark.parametrize(
    ("train", "folder"), [("{model: tiny}", "out.model"), ("{model: tiny, dir: m}", "m")]
)
def test_the_model_lies_beside_the_dataset(write_recipe: Write, train: str, folder: str) -> None:
    job = load_recipe(str(write_recipe("type: scenes", ["image_check"], extra=f"train: {train}")))
    assert model_directory(job).endswith(folder)

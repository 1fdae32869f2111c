"""Which weights a run will load, told before it loads any."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gritmill.pipeline.cli import app
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.inspect.weights import look, weights_of
from gritmill.schemas.weights import Weights
from gritmill.stages.base import Stage
from gritmill.stages.grounders.onnx.grounder import OnnxGrounder
from gritmill.stages.grounders.transformers.grounder import TransformersGrounder
from gritmill.stages.registry import all_stages

Write = Callable[..., Path]
COMMIT = "a2bb814dd30d776dcf7e30523b00659f4f141c71"
MODEL = "IDEA-Research/grounding-dino-tiny"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """(files by name) -> a hub's cache with these of `MODEL`; the hub itself is out of reach."""
    from huggingface_hub import HfApi, constants

    def offline(*args: Any, **options: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(HfApi, "model_info", offline)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def fill(files: dict[str, str]) -> Path:
        repo = tmp_path / "hub" / f"models--{MODEL.replace('/', '--')}"
        folder = repo / "snapshots" / COMMIT
        folder.mkdir(parents=True)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(COMMIT)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return fill


CONFIG = {"config.json": '{"model_type": "grounding-dino"}'}
INDEX = {
    "model.safetensors.index.json": '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
}


@pytest.mark.parametrize(
    ("files", "is_here", "size"),
    [
        (CONFIG, False, None),
        (CONFIG | {"model.safetensors": "12345"}, True, 5),
        (CONFIG | {"pytorch_model.bin": "12345"}, False, None),
        (CONFIG | INDEX | {"model-1.safetensors": "123"}, False, None),
        (CONFIG | INDEX | {"model-1.safetensors": "123", "model-2.safetensors": "4"}, True, 4),
    ],
)
def test_the_hub_s_cache_is_looked_into(
    files: dict[str, str], is_here: bool, size: int | None, cache: Callable[..., Path]
) -> None:
    folder = cache(files)
    [weights] = TransformersGrounder(model_revision=COMMIT).needed_weights()
    assert weights == Weights(MODEL, "hub", COMMIT, str(folder))
    found = look("ground", weights)
    assert (found.is_here, found.bytes) == (is_here, size)


def test_plan_says_what_is_loaded_and_what_holds_the_recipe_to_it(
    cache: Callable[..., Path], write_recipe: Write
) -> None:
    folder = cache(CONFIG | {"model.safetensors": "12345"})
    stages = ["image_check", "noun_chunks", "ground: {grounder: transformers}", "select_boxes"]
    said = CliRunner().invoke(app, ["plan", str(write_recipe("type: scenes, count: 2", stages))])
    assert said.exit_code == 0, said.output
    lines = said.output[said.output.index("\nWeights\n") :].strip().splitlines()
    assert re.fullmatch(
        r"noun_chunks: en_core_web_sm\w*@3\.\d\.\d, licence mit, [\d.]+ MB, on disk in .+", lines[1]
    )
    assert lines[2:] == [
        f"ground: {MODEL}@{COMMIT[:12]}, licence apache-2.0, 0.0 MB, on disk in {folder}",
        f"    not pinned: `model_revision: {COMMIT}` holds the recipe to these weights",
    ]


def test_what_is_pinned_is_not_remarked_upon(cache: Callable[..., Path], write_recipe: Write) -> None:
    cache(CONFIG)
    stages = [
        "image_check",
        "noun_chunks",
        f"ground: {{grounder: transformers, model_revision: {COMMIT}}}",
        "select_boxes",
    ]
    train = f"train: {{model: {MODEL}, revision: main}}"
    job = load_recipe(str(write_recipe("type: scenes, count: 2", stages, extra=train)))
    _, detector, trained = weights_of(job)
    page = f"https://huggingface.co/{MODEL}"
    assert list(detector.lines()) == [
        f"ground: {MODEL}@{COMMIT[:12]}, licence apache-2.0, size unknown, to be downloaded from {page}"
    ]
    assert trained.weights.unpinned == "revision"


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"12345")
    [weights] = OnnxGrounder(model=str(path)).needed_weights()
    found = look("ground", weights)
    assert (found.is_here, found.bytes, weights.unpinned) == (True, 5, "sha256")
    assert found.licence == "unknown"
    [held] = OnnxGrounder(model=str(path), sha256=weights.revision).needed_weights()
    assert held.unpinned == ""
    [gone] = OnnxGrounder(model=str(tmp_path / "nowhere.onnx")).needed_weights()
    assert "@unknown, licence unknown, size unknown, not on disk" in next(look("ground", gone).lines())


def test_the_hub_is_asked_for_the_size_of_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

    def info(self: Any, name: str, *, revision: str, timeout: float, files_metadata: bool) -> ModelInfo:
        assert (name, revision, files_metadata) == (MODEL, COMMIT, True)
        sizes = {"config.json": 7, "model.safetensors": 689_359_096, "pytorch_model.bin": 1}
        siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
        return ModelInfo(id=MODEL, sha=COMMIT, siblings=siblings, tags=[])

    monkeypatch.setattr(HfApi, "model_info", info)
    found = look("ground", Weights(MODEL, "hub", COMMIT))
    assert (found.is_here, found.bytes, found.size) == (False, 689_359_096, "689.4 MB")


def test_every_stage_that_takes_a_model_of_transformers_says_which() -> None:
    taking = {name: cls for name, cls in all_stages().items() if "transformers" in cls.packages}
    assert len(taking) > 5
    assert [name for name, cls in taking.items() if cls.needed_weights is Stage.needed_weights] == []

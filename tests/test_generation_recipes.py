"""`llava_instruct.yaml` and `sharegpt4v*.yaml` on real photographs, from images to LLaVA's json."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import ChatServer
from PIL import Image

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import RECIPES, load_recipe
from gritmill.pipeline.engine.run import Finished, run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.conversations import from_json
from gritmill.stages.generation.backends.echo import LABEL
from gritmill.stages.generation.backends.transformers import TransformersGenerate

IMAGES = 80
CAPTION_ECHO = "stages.generate={backend: echo, prompts: caption/general, image: true}"

Make = Callable[..., Finished]


@pytest.fixture
def make(coco_mini: Path, tmp_path: Path) -> Make:
    """(recipe, *overrides, out="out") -> a finished run over all photographs."""

    def make(recipe: str, *overrides: str, out: str = "out") -> Finished:
        source = f"source={{type: coco, images: {coco_mini}/images, captions: {coco_mini}/captions.json, "
        source += f"instances: {coco_mini}/instances.json, per: image}}"
        job = load_recipe(recipe, [source, f"output.dir={tmp_path / out}", *overrides])
        return run(job, Store(f"{tmp_path / out}.work"), LocalRunner(), Progress())

    return make


def entries(out: Path) -> list[dict[str, Any]]:
    return [
        entry for file in sorted((out / "llava").glob("*.json")) for entry in json.loads(file.read_bytes())
    ]


def records(out: Path, unpacked: Path) -> list[dict[str, Any]]:
    """The records of all shards, whose members are unpacked on the way."""
    for shard in sorted((out / "data").glob("*.tar")):
        with tarfile.open(shard) as tar:
            tar.extractall(unpacked, filter="data")
    return [json.loads(file.read_bytes()) for file in sorted(unpacked.glob("*.json"))]


def check_as_llava_loads(entry: dict[str, Any], image_folder: Path) -> None:
    """What LLaVA's and ShareGPT4V's `LazySupervisedDataset` and `preprocess_v1` rely on."""
    assert isinstance(entry["id"], str)
    with Image.open(image_folder / entry["image"]) as image:
        image.convert("RGB")
    turns = entry["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2) != []
    # Each one becomes an image's features, of which there is one.
    assert [turn["value"].count("<image>") for turn in turns] == [1] + [0] * (len(turns) - 1)
    assert turns[0]["value"].startswith("<image>\n") or turns[0]["value"].endswith("\n<image>")
    assert all(turn["value"].strip() for turn in turns)


@pytest.mark.parametrize(
    ("recipe", "echo", "tasks"),
    [
        (
            "llava_instruct",
            "stages.generate={backend: echo}",
            {"conversation", "detail_description", "complex_reasoning"},
        ),
        ("sharegpt4v", CAPTION_ECHO, {"caption/general"}),
        ("sharegpt4v_phase2", CAPTION_ECHO, {"caption/general"}),
    ],
)
def test_every_image_ends_as_a_conversation_or_a_reasoned_reject(
    recipe: str, echo: str, tasks: set[str], make: Make, tmp_path: Path, coco_mini: Path
) -> None:
    done = make(recipe, echo)
    totals = done.totals.values()
    assert done.totals["source"].rows_out == IMAGES
    kept = done.totals["write"].rows_out
    assert kept > IMAGES / 2
    assert kept + sum(total.rejected.total() for total in totals) == IMAGES
    assert not any(total.failures for total in totals)

    found = entries(tmp_path / "out")
    made = records(tmp_path / "out", tmp_path / "unpacked")
    assert len(found) == len(made) == kept
    assert len({entry["id"] for entry in found}) == kept
    for entry in found:
        check_as_llava_loads(entry, tmp_path / "unpacked")
        check_as_llava_loads(entry, coco_mini / "images")
    assert {origin["task"] for record in made for origin in record["provenance"]} == tasks

    # Nobody takes the fake for a model: not in the text, nor in a record, nor in what is said of the whole.
    for record in made:
        assert [origin["backend"] for origin in record["provenance"]] == ["echo"]
        [talk] = from_json(record["conversations"])
        assert LABEL in talk.turns[1].text
    assert all(LABEL in entry["conversations"][1]["value"] for entry in found)
    stats = json.loads((tmp_path / "out" / "stats.json").read_bytes())
    assert stats["versions"]["generate"]["backend"] == LABEL
    assert f"- generate: backend {LABEL}" in (tmp_path / "out" / "report.md").read_text()


def test_a_reply_is_bought_once_whatever_else_changes(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRITMILL_REPLIES", str(tmp_path / "replies"))
    with ChatServer() as server:
        overrides = ["stages.generate.base_url=" + server.url, "stages.parse_replies.image=before"]
        first = make("llava_instruct", *overrides)
        calls = len(server.calls)
        assert calls >= IMAGES
        assert server.bodies[0]["model"] == "gpt-4o-mini-2024-07-18"
        assert make("llava_instruct", *overrides).totals == first.totals
        make("llava_instruct", *overrides, "stages.context.max_boxes=41", "name=again", out="elsewhere")
        make("llava_instruct", *overrides, "stages.image_check.min_side=65", "name=third", out="third")
        assert len(server.calls) == calls
    assert entries(tmp_path / "out") == entries(tmp_path / "third") != []
    [origin] = records(tmp_path / "out", tmp_path / "unpacked")[0]["provenance"]
    assert (origin["backend"], origin["model"]) == ("openai", "gpt-4o-mini-2024-07-18-2026-01-01")
    assert origin["tokens_in"] > 0


@pytest.mark.parametrize("recipe", ["llava_instruct", "sharegpt4v"])
def test_the_recipes_are_ready_for_openai(
    recipe: str, coco_mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none of ours")
    files = [f"source.{name}={coco_mini / name}.json" for name in ("captions", "instances")]
    job = load_recipe(recipe, [f"source.images={coco_mini}/images", *files])
    [stage] = [named.stage for named in job.stages if named.name == "generate"]
    assert stage.model_dump()["max_cost"] > 0
    for alternative in (
        "{backend: batch, model: gpt-4o, prices: {in: 1.25, out: 5}, max_cost: 5}",
        "{backend: openai, model: any, base_url: http://localhost:8080/v1, model_revision: Q4}",
    ):
        load_recipe(recipe, [f"source.images={coco_mini}/images", *files, f"stages.generate={alternative}"])


def test_the_options_of_the_local_captioner_are_its_own() -> None:
    recipe = yaml.safe_load((RECIPES / "sharegpt4v_phase2.yaml").read_text(encoding="utf-8"))
    [options] = [stage["generate"] for stage in recipe["stages"] if "generate" in stage]
    made = TransformersGenerate.model_validate(options)
    assert made.image
    assert not made.one_worker


def test_a_key_is_written_nowhere(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-that-nobody-may-ever-read"
    monkeypatch.setenv("GRITMILL_REPLIES", str(tmp_path / "replies"))
    monkeypatch.setenv("MY_KEY", key)
    with ChatServer() as server:
        options = f"base_url: {server.url}, api_key_env: MY_KEY, model: m, prompts: conversation"
        make("llava_instruct", f"stages.generate={{backend: openai, {options}}}")
        assert server.calls
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).parts[0] for path in files} >= {"out", "out.work", "replies"}
    assert [path for path in files if key.encode() in path.read_bytes()] == []

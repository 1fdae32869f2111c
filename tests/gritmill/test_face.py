"""`from gritmill import ...`: what there is, how fast it comes, and that it runs inside an event loop."""

import ast
import asyncio
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer

import gritmill
from gritmill import load_recipe, open_dataset, run

ROOT = Path(gritmill.__file__).resolve().parent.parent


def told_to_mypy() -> Iterator[tuple[str, str]]:
    """(name, module) of the imports that only a type checker makes."""
    tree = ast.parse((ROOT / "gritmill" / "__init__.py").read_text(encoding="utf-8"))
    block, _ = [node for node in tree.body if isinstance(node, ast.If)]
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, "mypy takes no other form for a public name"
                assert node.module
                yield alias.name, node.module


def test_what_mypy_is_told_is_what_there_is() -> None:
    assert dict(told_to_mypy()) == gritmill._PLACES
    for name, module in gritmill._PLACES.items():
        assert getattr(gritmill, name) is getattr(importlib.import_module(module), name)
    assert set(gritmill._PLACES) <= set(dir(gritmill))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gritmill' has no attribute 'nothing'"):
        getattr(gritmill, "nothing")  # noqa: B009


@pytest.mark.parametrize("module", ["gritmill", "gritmill.stages"])
def test_an_import_brings_nothing_large(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    large = {"numpy", "pyarrow", "pydantic", "PIL", "torch", "transformers", "spacy", "ray", "rich", "typer"}
    assert "gritmill" in done.stdout.split()
    assert not large & set(done.stdout.split())


@pytest.mark.parametrize("command", [["-m", "gritmill"], ["-m", "gritmill.pipeline.cli"]])
def test_the_program_says_its_version(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"gritmill {gritmill.__version__}\n"


def chatting(server: ChatServer, folder: Path) -> Any:
    """A job that asks a language model about four captions."""
    recipe = folder / "chat.yaml"
    recipe.write_text(
        f"""
name: chat
source: {{type: scenes, count: 4, captions_per_image: 1}}
stages:
  - image_check: {{min_side: 16}}
  - context: {{boxes: none}}
  - generate: {{backend: openai, model: m, base_url: "{server.url}", prompts: conversation,
               replies: {folder / "replies"}}}
  - parse_replies: {{}}
output: {{dir: {folder / "out"}}}
"""
    )
    return load_recipe(str(recipe))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with ChatServer() as running:
        yield running


def test_a_language_model_is_asked_inside_a_running_event_loop(server: ChatServer, tmp_path: Path) -> None:
    """As in a notebook, whose cells run in one."""

    async def cell() -> None:
        run(chatting(server, tmp_path))

    asyncio.run(cell())
    samples = list(open_dataset(tmp_path / "out"))
    assert len(samples) == len(server.calls) == 4
    assert all(sample.conversations for sample in samples)


def test_a_run_leaves_the_event_loop_free_in_a_thread(server: ChatServer, tmp_path: Path) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async def cell() -> None:
        counting = asyncio.create_task(count())
        await asyncio.to_thread(run, chatting(server, tmp_path))
        counting.cancel()

    asyncio.run(cell())
    assert turns > 10
    assert len(list(open_dataset(tmp_path / "out"))) == 4


def test_the_examples_of_the_docs_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 4
    (tmp_path / "all.py").write_text("\n".join(blocks), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "all.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "samples" in done.stdout

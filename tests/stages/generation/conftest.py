"""Samples for stages that ask models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gritmill.schemas.columns import Columns
from gritmill.stages.generation.backends.openai import OpenAIGenerate


class Bytes:
    """An image of these bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self) -> bytes:
        if not self.data:
            raise OSError("no image here")
        return self.data


def _samples(count: int, data: bytes = b"", start: int = 0) -> Columns:
    numbers = range(start, start + count)
    return {
        "key": [f"k{n}" for n in numbers],
        "context": [f"A dog, the {n}th, runs across a field." for n in numbers],
        "image": [Bytes(data)] * count,
    }


@pytest.fixture
def samples() -> Callable[..., Columns]:
    return _samples


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[..., OpenAIGenerate]:
    """A stage that keeps its replies in the test's folder, ready to process."""

    def make(url: str, **options: Any) -> OpenAIGenerate:
        given = {"prompts": "conversation", "first_wait": 0.02, "timeout": 5, **options}
        stage = OpenAIGenerate(model="m", base_url=url, replies=str(tmp_path / "replies"), **given)
        stage.setup()
        return stage

    return make

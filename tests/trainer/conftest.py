"""A model and shards that are small enough to train in a test."""

from pathlib import Path

import pytest
import tiny_training


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_training.save_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_training.save_shards(tmp_path_factory.mktemp("shards") / "squares", 20)

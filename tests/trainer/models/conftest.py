"""Tiny checkpoints of the real architectures on disk, and what each family's format looks like."""

from pathlib import Path

import pytest
import tiny_vlms

from gritmill.trainer.models.load import Loaded, load

FAMILIES = ("llava", "smolvlm", "idefics3", "paligemma", "kosmos2")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    pytest.importorskip("transformers")
    home = tmp_path_factory.mktemp("checkpoints")
    return {
        "llava": tiny_vlms.llava(home / "llava"),
        "smolvlm": tiny_vlms.smolvlm(home / "smolvlm"),
        "idefics3": tiny_vlms.smolvlm(home / "idefics3", "idefics3"),
        "paligemma": tiny_vlms.paligemma(home / "paligemma"),
        "kosmos2": tiny_vlms.kosmos2(home / "kosmos2"),
    }


@pytest.fixture(params=FAMILIES)
def loaded(request, checkpoints) -> Loaded:
    return load(str(checkpoints[request.param]))


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slower with more."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

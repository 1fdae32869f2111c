"""What the doctor says of a machine that has all, and of one that lacks something."""

import importlib.machinery
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gritmill.pipeline.inspect import doctor
from gritmill.pipeline.inspect.doctor import Diagnosis, examine
from gritmill.stages.registry import all_stages

ROOT = Path(__file__).parents[3]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(import names) -> they are not installed any more."""

    def call(*names: str) -> None:
        real = importlib.machinery.PathFinder.find_spec

        def find_spec(cls: Any, name: str, path: Any = None, target: Any = None) -> Any:
            return None if name in names else real(name, path, target)

        monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", classmethod(find_spec))
        for name in names:
            monkeypatch.delitem(sys.modules, name, raising=False)

    return call


def findings() -> dict[str, Diagnosis]:
    return {finding.subject: finding for finding in examine()}


def test_a_machine_that_has_what_tests_need_is_well() -> None:
    found = findings()
    assert list(found) == [
        "python",
        "gritmill",
        *doctor._OPTIONAL,
        *("spaCy models", "GPUs", "cores", "disk"),
    ]
    assert found["spacy"] == (True, "spacy", importlib.metadata.version("spacy"))
    assert "en_core_web_sm" in found["spaCy models"].text.replace("-", "_")
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in found["python"].text


@pytest.mark.parametrize(("name", "extra"), [(n, extra) for n, (_, extra, _) in doctor._OPTIONAL.items()])
def test_what_is_missing_comes_with_the_command_that_brings_it(
    name: str, extra: str, hide: Callable[..., None]
) -> None:
    others = {n: f.ok for n, f in findings().items() if n in doctor._OPTIONAL and n != name}
    hide(name)
    found = findings()
    assert not found[name].ok
    assert "missing, needed for" in found[name].text
    assert f"pip install 'gritmill[{extra}]'" in found[name].text
    assert {n: f.ok for n, f in found.items() if n in others} == others


def test_every_extra_of_the_doctor_s_is_one_of_ours() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for distribution, extra, _ in doctor._OPTIONAL.values():
        assert any(distribution == re.split("[=<>]", line)[0] for line in known[extra]), distribution


def test_the_doctor_knows_every_package_that_a_stage_asks_for() -> None:
    asked = {name for cls in all_stages().values() for name in cls.packages}
    assert asked <= doctor._OPTIONAL.keys()


def test_without_torch_nothing_is_said_of_gpus(hide: Callable[..., None]) -> None:
    hide("torch")
    assert "GPUs" not in findings()


def test_a_folder_called_like_a_package_is_no_package(
    monkeypatch: pytest.MonkeyPatch, hide: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "s3fs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    version = importlib.metadata.version

    def no_distribution(name: str) -> str:
        if name == "s3fs":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", no_distribution)
    assert not findings()["s3fs"].ok


def test_spacy_without_a_model_is_told_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: iter(()))
    found = findings()["spaCy models"]
    assert not found.ok and "pip install en-core-web-sm" in found.text


def test_a_full_disk_is_remarked_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 3 * 10**9

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    assert findings()["disk"] == (False, "disk", "3 GB free here")

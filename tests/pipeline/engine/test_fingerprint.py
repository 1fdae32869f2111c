"""Digests: what changes them, what does not, and that they are the same everywhere."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gritmill.pipeline.engine import fingerprint
from gritmill.pipeline.engine.fingerprint import code_digest, digest

CODE = {
    "__init__": "",
    "stage": "from ours.helper import double\nclass Stage:\n    def process(self, x):\n"
    "        return double(x)\n",
    "helper": "from ours import deep\ndef double(x):\n    return deep.add(x, x)\n",
    "deep": "def add(a, b):\n    return a + b\n",
    "unused": "SEED = 1\n",
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """(module=text, ...) -> the digest of `ours.stage` in a package with these modules changed."""
    caches = (code_digest, fingerprint._code, fingerprint._spec)
    monkeypatch.setattr(fingerprint, "OURS", ("ours",))
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "ours"
    folder.mkdir()

    def write(**changes: str) -> str:
        for name, text in {**CODE, **changes}.items():
            (folder / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "ours"]:
            del sys.modules[name]
        for cached in caches:
            cached.cache_clear()
        importlib.invalidate_caches()
        return code_digest("ours.stage")

    yield write
    for cached in caches:
        cached.cache_clear()
    sys.modules.pop("ours", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "# a comment\n\n" + CODE["stage"].replace("double(x)\n", "double( x )  # twice\n")},
        {"stage": '"""What it is."""\n' + CODE["stage"]},
        {"stage": CODE["stage"].replace("Stage:\n", 'Stage:\n    """One."""\n')},
        {"deep": CODE["deep"].replace("b):\n", 'b):\n    """Adds."""\n')},
        {
            "helper": CODE["helper"].replace(
                "deep.add(x, x)", "(\n        deep.add(\n            x,\n            x,\n        )\n    )"
            )
        },
        {"unused": "SEED = 2\n"},
    ],
    ids=["comment", "module docstring", "class docstring", "docstring far off", "layout", "not imported"],
)
def test_what_says_nothing_changes_nothing(code: Callable[..., str], changes: dict[str, str]) -> None:
    assert code() == code(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": CODE["stage"].replace("double(x)", "double(x) + 1")},
        {"helper": CODE["helper"].replace("x, x", "x, 2 * x")},
        {"deep": CODE["deep"].replace("a + b", "b + a")},
        {"deep": CODE["deep"].replace("b):", "b=0):")},
        {"stage": "from ours import unused\n" + CODE["stage"]},
        {"__init__": "SEED = 1\n"},
    ],
    ids=["itself", "import", "import of an import", "default", "one more import", "package"],
)
def test_what_may_change_results_changes_the_digest(
    code: Callable[..., str], changes: dict[str, str]
) -> None:
    assert code() != code(**changes)


def test_imports_within_functions_count(code: Callable[..., str]) -> None:
    lazy = "class Stage:\n    def setup(self):\n        import ours.unused\n"
    assert code(stage=lazy) != code(stage=lazy, unused="SEED = 2\n")


def test_nothing_is_imported_to_see_what_it_holds(code: Callable[..., str]) -> None:
    assert code(deep="raise AssertionError\n") != code()
    assert not [name for name in sys.modules if name.partition(".")[0] == "ours"]


def test_modules_that_import_each_other_are_no_trouble(code: Callable[..., str]) -> None:
    back = CODE["deep"].replace("b):\n", "b):\n    import ours.stage\n")
    assert code(deep=back) != code()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), "4f53cda18c2baa0c"),
        (("a", 1, {"b": [None, True, 2.5], "a": "é"}), "2bf3a173328a580d"),
        (("half a pair: \ud800",), "f10ffbe437280627"),
    ],
)
def test_a_digest_is_the_same_in_every_process(values: tuple[object, ...], expected: str) -> None:
    assert digest(*values) == expected


def test_the_order_of_keys_does_not_count_and_all_else_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    different = [digest(x) for x in ([1, 2], [2, 1], ["1", 2], [[1], 2], {"a": [1, 2]}, 1, 1.5, "1", None)]
    assert len(set(different)) == len(different)

"""Names in a recipe and the classes behind them."""

import subprocess
import sys
from pathlib import Path

import pytest

from gritmill.schemas.columns import arrow_type
from gritmill.schemas.errors import UserError
from gritmill.schemas.tables import load, suggestion
from gritmill.stages.base import GlobalStage, Stage
from gritmill.stages.registry import STAGES, VARIANTS, all_stages, stage_class

ALL = all_stages()


@pytest.mark.parametrize("title", ALL)
def test_every_stage_is_declared_and_documented(title: str) -> None:
    cls = ALL[title]
    assert issubclass(cls, Stage)
    assert cls.reads and cls.writes
    for kind in cls.writes.values():
        arrow_type(kind)
    summary = (cls.__doc__ or "").split("\n")[0]
    assert summary.endswith(".") and "->" in (cls.__doc__ or "")
    assert cls.process is not Stage.process or issubclass(cls, GlobalStage)


@pytest.mark.parametrize("title", ALL)
def test_every_option_says_what_it_means(title: str) -> None:
    fields = ALL[title].model_fields
    silent = [name for name, info in fields.items() if name not in Stage.run_options and not info.description]
    assert silent == []


@pytest.mark.parametrize("title", ALL)
def test_names_lead_to_their_classes(title: str) -> None:
    name, _, variant = title.rstrip(")").partition(" (")
    options = {VARIANTS[name][0]: variant} if variant else {}
    assert stage_class(name, options) is ALL[title]


def test_no_name_stands_for_two_things() -> None:
    assert not set(STAGES) & set(VARIANTS)
    assert len(set(ALL.values())) == len(ALL) == len(STAGES) + sum(len(c) for _, c in VARIANTS.values())


def test_a_stage_of_the_user_s_own_is_named_by_its_module() -> None:
    from odd_stages import Slow

    assert stage_class("odd_stages:Slow", {}) is Slow


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("image_chek", {}, "there is no stage 'image_chek'; did you mean 'image_check'?"),
        ("grond", {}, "did you mean 'ground'?"),
        ("xyzzy", {}, "there is no stage 'xyzzy'; there are: image_check, caption_check, "),
        ("", {}, "there is no stage ''"),
        ("ground", {}, "ground: option grounder is missing; choose one of: annotations, "),
        (
            "ground",
            {"grounder": "clairvoyance"},
            "ground: option grounder 'clairvoyance' is not known; choose one of: ",
        ),
        ("ground", {"grounder": None}, "option grounder is missing"),
        ("ground", {"grounder": "odd:Mine"}, "'odd:Mine' cannot be imported"),
        ("no_such_module:Stage", {}, "'no_such_module:Stage' cannot be imported: No module named"),
        ("no.such.module:Stage", {}, "cannot be imported"),
        ("odd_stages:Nothing", {}, "cannot be imported: module 'odd_stages' has no attribute 'Nothing'"),
        ("odd_stages.deeper:Slow", {}, "cannot be imported"),
        ("ground", {"grounder": ["annotations"]}, "option grounder ['annotations'] is not known"),
        (":Stage", {}, "':Stage' names no class; write it as package.module:Class"),
        ("odd_stages:", {}, "'odd_stages:' names no class"),
        (".relative:Stage", {}, "names no class"),
        ("odd stages:Slow", {}, "names no class"),
        ("json:loads", {}, "'json:loads' is no stage; name a class that builds on Stage"),
        ("odd_sources:Deadly", {}, "'odd_sources:Deadly' is no stage"),
    ],
)
def test_a_name_that_is_not_known_is_one_sentence(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        stage_class(name, options)
    assert message in str(caught.value)


def test_a_module_that_cannot_import_something_else_shows_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_made.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        load("half_made:Stage", Stage)


@pytest.mark.parametrize(
    ("word", "expected"), [("grit", "; did you mean 'grits'?"), ("zzz", "; there are: grits, coco")]
)
def test_suggestions(word: str, expected: str) -> None:
    assert suggestion(word, ["grits", "coco"]) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "import gritmill",
        "import gritmill.stages, gritmill.stages.registry",
        "from gritmill.stages.registry import all_stages; all_stages()",
    ],
)
def test_importing_stages_imports_nothing_heavy(statement: str) -> None:
    heavy = ("torch", "spacy", "ray", "transformers", "datasets", "PIL.Image", "huggingface_hub")
    code = f"{statement}\nimport sys\nprint([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

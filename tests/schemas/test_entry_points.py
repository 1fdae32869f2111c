"""What other distributions bring, by entry points of the group `gritmill`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gritmill.pipeline.commands.stages import stages
from gritmill.pipeline.engine.recipes import RecipeError, find_run_files, load_recipe
from gritmill.pipeline.inspect.dialect_table import all_dialects
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.sources.registry import source_class
from gritmill.schemas.dialects import DIALECTS
from gritmill.schemas.entry_points import all_given
from gritmill.schemas.errors import UserError
from gritmill.stages.registry import stage_class
from gritmill.trainer.models.registry import adapter_for, family_adapter

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

BROUGHT = {
    "caption_length": "caption_length:CaptionLength",
    "whole_image": "whole_image:WholeImage",
    "lines": "lines:LinesSource",
    "caption_table": "caption_table:CAPTION_TABLE",
    "my_pink": "pink:PINK",
    "parrot": "parrot:ParrotAdapter",
}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution's metadata, as an installer leaves them, where Python looks for them."""
    for path in EXAMPLES.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    monkeypatch.syspath_prepend(EXAMPLES)

    def into(distribution: str, **points: str) -> None:
        site = tmp_path / distribution
        metadata = site / f"{distribution}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[gritmill]", *lines]))
        monkeypatch.syspath_prepend(site)
        all_given.cache_clear()

    yield into
    all_given.cache_clear()


def test_each_kind_is_told_by_its_class(install: Install) -> None:
    install("parrots", **BROUGHT)
    assert stage_class("caption_length", {}).__name__ == "CaptionLength"
    assert stage_class("ground", {"grounder": "whole_image"}).__name__ == "WholeImage"
    assert source_class("lines").__name__ == "LinesSource"
    assert FORMATS["caption_table"].path("train", 0, 1) == "captions/train-00000-of-00001.csv"
    assert FORMATS.target("caption_table") == "caption_table:CAPTION_TABLE"
    assert "my_pink" in DIALECTS
    assert DIALECTS["my_pink"] == DIALECTS["pink:PINK"] == all_dialects()["my_pink"]
    assert adapter_for("parrot") is family_adapter("parrot:ParrotAdapter", "anything")
    assert set(DIALECTS) & set(BROUGHT) == set(FORMATS) & set(BROUGHT) == set()
    for table in (DIALECTS, FORMATS):
        assert "caption_length" not in table
    with pytest.raises(UserError, match="there is no stage 'my_pink'"):
        stage_class("my_pink", {})


def test_they_are_listed_with_who_brings_them(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("parrots", **BROUGHT)
    stages(None)
    said = capsys.readouterr().out
    assert "caption_length (from parrots)  Drops captions of fewer than `min_words` words." in said
    assert "lines (from parrots)  The path of an image and its caption a line" in said
    assert "my_pink (from parrots)  pink:PINK" in said
    stages("caption_length")
    assert "Fewest words that a caption may have." in capsys.readouterr().out


def test_two_of_one_name_are_an_error(install: Install) -> None:
    install("parrots", caption_length="caption_length:CaptionLength")
    install("macaws", caption_length="capitals:Capitals")
    with pytest.raises(UserError) as error:
        stage_class("caption_length", {})
    assert str(error.value) == (
        "'caption_length' is a name that both macaws and parrots give; uninstall one, or write "
        "capitals:Capitals or caption_length:CaptionLength instead"
    )


def test_a_name_of_ours_is_an_error_in_its_kind_alone(install: Install) -> None:
    install("parrots", noun_chunks="caption_length:CaptionLength", pink="lines:LinesSource")
    with pytest.raises(UserError) as error:
        stage_class("noun_chunks", {})
    assert str(error.value) == (
        "'noun_chunks' is a name of ours that parrots gives to caption_length:CaptionLength; write "
        "gritmill.stages.noun_chunks:NounChunks or caption_length:CaptionLength instead"
    )
    assert DIALECTS["pink"].name == "pink"
    assert source_class("pink").__name__ == "LinesSource"


def test_what_cannot_be_imported_is_told_with_who_brings_it(install: Install) -> None:
    install("parrots", broken="nowhere_at_all:Thing")
    with pytest.raises(UserError, match=r"^'broken', which parrots brings: 'nowhere_at_all:Thing' cannot be"):
        stage_class("broken", {})
    assert stage_class("noun_chunks", {}).__name__ == "NounChunks"


def test_a_grounder_is_chosen_by_its_class_too(install: Install) -> None:
    install("nothing")
    assert stage_class("ground", {"grounder": "whole_image:WholeImage"}).__name__ == "WholeImage"
    with pytest.raises(UserError) as error:
        stage_class("ground", {"grounder": "caption_length:CaptionLength"})
    assert str(error.value) == (
        "ground: 'caption_length:CaptionLength' has no option grounder; write it as "
        "`caption_length:CaptionLength: {...}` in place of ground"
    )


def test_formats_that_are_none_are_mistakes_of_the_recipe(install: Install) -> None:
    install("nothing")
    with pytest.raises(RecipeError) as error:
        load_recipe(
            "quickstart", ["output.formats=[parket, 'lines:LinesSource', 'caption_table:CAPTION_TABLE']"]
        )
    assert "output: there is no format 'parket'; did you mean 'parquet'?" in str(error.value)
    assert "output: 'lines:LinesSource' is no format" in str(error.value)
    assert len(error.value.mistakes) == 2


def test_the_recipe_in_a_folder_brings_no_import(install: Install, tmp_path: Path) -> None:
    install("nothing")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: theirs\nsource: {type: 'this_is_theirs:Source'}\nstages: ['this_is_theirs:Stage']\n"
        "output: {dir: out, formats: ['this_is_theirs:FORMAT']}\n"
    )
    assert find_run_files(str(tmp_path)).name == "theirs"
    with recipe.open("a") as file:
        file.write("train: {model: tiny, dialect: 'pink:PINK'}\n")
    with pytest.raises(RecipeError) as error:
        find_run_files(str(tmp_path))
    assert (
        "train: 'pink:PINK' is not imported because a folder says so; if you trust it, add "
        "--set train.dialect=pink:PINK"
    ) in str(error.value)
    assert "pink" not in sys.modules
    trusted = find_run_files(str(tmp_path), ["train.dialect=pink:PINK"])
    assert trusted.train and trusted.train.dialect == "pink:PINK"

"""Columns of stages that a recipe keeps: in records, in Parquet, and back through the source `finished`."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.pipeline.engine.run import run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.gallery.from_record import from_record
from gritmill.pipeline.sources.finished import FinishedSource
from gritmill.pipeline.stats.measure import dataset_stats
from gritmill.pipeline.stats.read import read_samples
from gritmill.pipeline.stats.table import own_rows
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import verify
from gritmill.schemas.columns import Reject, Span

SOURCE = "type: scenes, count: 8, part_size: 4, size: 96, captions_per_image: 1"
STAGES = ["image_check", "odd_stages:Letters", "odd_stages:Measures"]
KEEP = "formats: [webdataset, parquet], keep: [letters, share, tone, tags, words_at]"
Write = Callable[..., Path]


def go(recipe: Path) -> None:
    job = load_recipe(str(recipe))
    run(job, Store(work_directory(job, None)), LocalRunner(), Progress())


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {sample.record["key"]: dict(sample.record) for sample in read_samples(Store(str(folder)))}


@pytest.fixture
def kept(write_recipe: Write, tmp_path: Path) -> Path:
    go(write_recipe(SOURCE, STAGES, output=KEEP))
    return tmp_path / "out"


def test_what_is_kept_stands_in_the_record_and_typed_in_parquet(kept: Path) -> None:
    found = records(kept)
    rows = {row["key"]: row for path in kept.glob("parquet/*") for row in pq.read_table(path).to_pylist()}
    assert rows.keys() == found.keys()
    for key, record in found.items():
        caption, measured = record["caption"], json.loads(record["measured"])
        is_blue = "blue" in caption
        assert measured == {
            "letters": len(caption),
            "share": len(caption) / 100 if is_blue else None,
            "tone": "blue" if is_blue else None,
            "tags": caption.split(),
            "words_at": [{"start": 0, "end": 1}],
        }
        row = rows[key]
        assert (row["letters"], row["tone"], row["tags"]) == (
            len(caption),
            measured["tone"],
            measured["tags"],
        )
        assert is_blue or math.isnan(row["share"])
        assert row["measured"] == record["measured"]
    schema = pq.read_schema(next(iter(kept.glob("parquet/*"))))
    assert (schema.field("share").type, schema.field("letters").type) == (pa.float64(), pa.int64())
    assert json.loads((kept / "columns.json").read_text()) == {
        "letters": "int",
        "share": "float",
        "tone": "str",
        "tags": "list[str]",
        "words_at": "list[columns.Span]",
    }
    assert verify([str(kept)]).ok


def test_stats_and_the_view_know_it(kept: Path) -> None:
    stats = dataset_stats(str(kept))
    assert stats.numbers.keys() == {"letters", "share"} and list(stats.numbers["letters"]) == [
        *("0.05", "0.25", "0.5", "0.75", "0.95")
    ]
    assert stats.words["tone"].keys() == {"blue"}
    assert {"letters, as measured", "tone, as measured"} <= {row[0] for row in own_rows(stats)}
    record = next(iter(records(kept).values()))
    assert from_record(record)["provenance"]["measured"]["letters"] == len(record["caption"])


def test_a_run_of_it_has_the_columns_again(kept: Path, write_recipe: Write, tmp_path: Path) -> None:
    source = FinishedSource(shards=f"{kept}/data/*.tar")
    assert {name: source.provides()[name] for name in ("letters", "words_at")} == {
        "letters": int,
        "words_at": list[Span],
    }
    go(
        write_recipe(
            f"type: finished, shards: {kept}/data/*.tar", ["image_check"], "b", output=KEEP, folder="b"
        )
    )
    before, after = records(kept), records(tmp_path / "b")
    assert {key: record["measured"] for key, record in before.items()} == {
        key: record["measured"] for key, record in after.items()
    }


def test_without_its_types_nothing_is_carried_and_asking_for_it_is_a_mistake(kept: Path) -> None:
    (kept / "columns.json").unlink()
    assert "letters" not in FinishedSource(shards=f"{kept}/data/*.tar").provides()
    [problem] = FinishedSource(shards=f"{kept}/data/*.tar", carry=["measured"]).problems()
    assert problem == (
        "carry names measured, but columns.json, which tells types, is missing; put it beside the tars"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "holds no types of columns"),
        ('{"letters": "numbers.Big"}', "gives letters a type that is not known"),
    ],
)
def test_types_that_are_none(text: str, said: str, kept: Path) -> None:
    (kept / "columns.json").write_text(text)
    [problem] = FinishedSource(shards=f"{kept}/data/*.tar").problems()
    assert said in problem


def test_a_value_of_another_type_rejects_its_row(kept: Path) -> None:
    (kept / "columns.json").write_text('{"tone": "int"}')
    source = FinishedSource(shards=f"{kept}/data/*.tar", carry=["measured"])
    columns = source.read(next(source.parts()))
    assert {isinstance(value, Reject) for value in columns["tone"]} == {True, False}


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("colour", "keep names column colour, which neither the source nor a stage before it gives"),
        (
            "sharpness",
            "keep names column sharpness, which nothing before it writes; put image_quality before it",
        ),
        ("caption", "keep names caption, which a record holds under this name already; leave it out"),
        (
            "raw",
            "keep names column raw, whose type JSON cannot hold or is none of gritmill's; let its stage "
            "write numbers, texts or lists of them",
        ),
    ],
)
def test_what_cannot_be_kept(keep: str, said: str, write_recipe: Write) -> None:
    recipe = write_recipe(SOURCE, STAGES, output=f"keep: [letters, {keep}]")
    with pytest.raises(RecipeError) as error:
        load_recipe(str(recipe))
    [mistake] = error.value.mistakes
    assert mistake.endswith(said) and mistake.startswith("line ")


def test_keeping_nothing_leaves_no_trace(kept: Path, write_recipe: Write) -> None:
    go(write_recipe(SOURCE, STAGES, output="formats: [webdataset]"))
    assert not (kept / "columns.json").exists()
    assert all("measured" not in record for record in records(kept).values())

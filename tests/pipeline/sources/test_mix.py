import pytest
from pydantic import ValidationError

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.sources.mix import MixSource
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.columns import SAMPLE_COLUMNS, Annotation, Reject

SCENES = {"type": "scenes", "count": 60, "part_size": 25}


def mix(**options):
    sources = {"one": SCENES, "two": {**SCENES, "seed": 1}}
    return MixSource.model_validate({"type": "mix", "sources": sources, **options})


def read(source):
    rows = [source.read(part) for part in source.parts()]
    return {name: [value for columns in rows for value in columns[name]] for name in rows[0]}


def test_samples_of_all_sources_come_under_keys_of_their_own():
    columns = read(mix())
    assert list(columns) == [*SAMPLE_COLUMNS, "annotations", "origin"] == list(mix().provides())
    assert len(columns["key"]) == len(set(columns["key"])) == 240
    assert columns["origin"] == ["one"] * 120 + ["two"] * 120
    assert columns["key"][1] == "one-scene-00000000_1" and columns["key"][121] == "two-scene-00000000_1"
    assert columns["image_id"][0] == "one-scene-00000000"
    assert {len(values) for values in columns.values()} == {240}


def test_ids_that_mean_the_same_image_stay():
    columns = read(mix(same_images=True))
    assert columns["image_id"][0] == columns["image_id"][120] == "scene-00000000"
    assert columns["key"][0] != columns["key"][120]


def test_a_part_is_read_as_its_source_reads_it():
    source = mix()
    parts = list(source.parts())
    assert [part["origin"] for part in parts] == ["one"] * 3 + ["two"] * 3
    alone = source.sources["two"].read(parts[4]["part"])
    assert source.read(parts[4])["caption"] == alone["caption"]
    assert source.read(parts[4])["image"] == alone["image"]


def test_a_share_of_the_images_is_kept_with_all_their_captions():
    columns = read(mix(keep={"one": 0.25}))
    ones = [i for i, origin in zip(columns["image_id"], columns["origin"]) if origin == "one"]
    assert 4 <= len(set(ones)) <= 28
    assert {ones.count(image_id) for image_id in ones} == {2}
    assert columns["origin"].count("two") == 120
    assert columns == read(mix(keep={"one": 0.25}))
    assert columns["key"] != read(mix(keep={"one": 0.25}, seed=1))["key"]


def test_columns_that_only_some_have_are_empty_in_the_others(coco_mini):
    coco = {
        "type": "coco",
        "images": str(coco_mini / "images"),
        "captions": str(coco_mini / "captions.json"),
    }
    source = MixSource.model_validate({"type": "mix", "sources": {"scenes": SCENES, "coco": coco}})
    assert source.provides()["annotations"] == list[Annotation]
    columns = read(source)
    assert all(columns["annotations"][:120])
    assert columns["annotations"][120:] == [[]] * 400


def test_rows_that_a_source_rejects_stay_rejected(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a dog")
    folder = {"type": "folder", "path": str(tmp_path)}
    columns = read(MixSource.model_validate({"type": "mix", "sources": {"mine": folder}}))
    assert columns["image"] == [Reject("empty_image", columns["image"][0].value)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {}}, "at least 1 item"),
        ({"sources": {"a-b": SCENES}}, "pattern"),
        ({"sources": {"a": {"type": "scenez"}}}, "there is no source type 'scenez'; did you mean 'scenes'"),
        ({"sources": {"a": {**SCENES, "nonsense": 1}}}, "nonsense: Extra inputs"),
        ({"sources": {"a": "scenes"}}, "valid dictionary or instance of Source"),
        ({"keep": {"three": 0.5}}, "keep names three, which is no source; there are: one, two"),
        ({"keep": {"one": 0}}, "greater than 0"),
        ({"keep": {"one": 1.5}}, "less than or equal to 1"),
    ],
)
def test_mistakes_are_told(options, message):
    with pytest.raises(ValidationError, match=message):
        mix(**options)


def test_problems_say_whose_they_are():
    [said] = MixSource.model_validate(
        {"type": "mix", "sources": {"a": SCENES, "b": {"type": "folder", "path": "no/such/folder"}}}
    ).problems()
    assert said.startswith("b: there is no folder no/such/folder")


MIX = (
    "type: mix, sources: {one: {type: scenes, count: 30, per: image},"
    " two: {type: scenes, count: 20, seed: 1, per: image, part_size: 7}}"
)


def origins(write_recipe, options, name):
    job = load_recipe(
        str(write_recipe(MIX, ["image_check", f"balance_origins: {options}"], name, folder=name))
    )
    done = run(job, Store(f"{job.output.dir}.work"), LocalRunner(), Progress())
    return done.totals["balance_origins"]


def test_a_mix_is_run_and_balanced_to_the_number(write_recipe):
    done = origins(write_recipe, "{most: {one: 7}}", "most")
    assert (done.rows_out, dict(done.rejected)) == (27, {"origin_full": 23})
    done = origins(write_recipe, "{shares: {one: 1, two: 4}}", "shares")
    assert (done.rows_out, dict(done.rejected)) == (25, {"origin_full": 25})


def test_a_recipe_tells_mistakes_of_the_sources_within(write_recipe):
    with pytest.raises(RecipeError, match="no source type 'scenez'"):
        load_recipe(str(write_recipe("type: mix, sources: {one: {type: scenez}}", ["image_check"])))

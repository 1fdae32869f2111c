"""Verified boxes from the recipe to the shards: what records say of them, and what a recipe may not do."""

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.pipeline.engine.steps_lock import LOCK, Line
from gritmill.pipeline.inspect.why import Chapter, Story
from gritmill.pipeline.inspect.why_text import story_lines

pytest.importorskip("spacy", reason="needs the extra `nlp`")

SCENES = "type: scenes, count: 6, size: 96, captions_per_image: 1"
BEFORE = ["image_check", "noun_chunks", "ground: {grounder: annotations}", "select_boxes"]
VERIFY = (
    "verify_boxes: {max_area: 0.05, regrounding: {grounder: annotations, ambiguous: all}, "
    "agreement: {odd_grounders:WholeImage: {score_threshold: 0.5}}, drops: [max_area]}"
)


def test_records_say_what_was_checked(tmp_path: Path, write_recipe: Any, cli: Any) -> None:
    stages = [*BEFORE, "referring_expressions", VERIFY]
    recipe = write_recipe(SCENES, stages, output="formats: [webdataset, parquet], shard_size: 1GB")
    ran = cli("run", recipe, "--runner", "local")
    assert ran.returncode == 0, ran.stderr
    with tarfile.open(next((tmp_path / "out" / "data").glob("*.tar"))) as tar:
        members = [tar.extractfile(member) for member in tar if member.name.endswith(".json")]
        records = [json.load(member) for member in members if member]
    assert records
    for record in records:
        areas = [(x2 - x1) * (y2 - y1) for _, _, x1, y1, x2, y2, _ in record["noun_chunks"]]
        assert areas and max(areas) <= 0.05
        for box in record["boxes"]:
            assert box["checks"] == {"max_area": True, "regrounding": True, "agreement": False}
    [table] = [pq.read_table(path) for path in (tmp_path / "out" / "parquet").glob("*.parquet")]
    [checks] = {tuple(box["checks"].items()) for row in table["boxes"].to_pylist() for box in row}
    assert dict(checks)["max_area"] is True and dict(checks)["similarity"] is None
    verified = cli("verify", tmp_path / "out")
    assert (verified.returncode, "0 errors" in verified.stdout) == (0, True), verified.stdout
    assert "no_verified_box" in cli("status", recipe).stdout


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([*BEFORE, VERIFY], "verify_boxes reads column ref_exps, which nothing before it writes"),
        (
            [*BEFORE, "referring_expressions", VERIFY, "select_boxes: {as: again}"],
            "again chooses boxes anew, and box_checks would no longer be theirs; put verify_boxes after it",
        ),
        (
            [*BEFORE, "referring_expressions", "select_boxes: {as: again}"],
            "again chooses boxes anew, and ref_exps would no longer be theirs; put referring_expr",
        ),
        (
            [*BEFORE, "referring_expressions", "select_boxes: {as: again}", VERIFY],
            "again chooses boxes anew, and ref_exps would no longer be theirs; put referring_expr",
        ),
        (
            [*BEFORE, "referring_expressions", "verify_boxes: {agreement: {grounder: onnx, modle: x}}"],
            "verify_boxes: agreement.model is missing",
        ),
        (
            [
                *BEFORE,
                "referring_expressions",
                "verify_boxes: {agreement: {grounder: onnx, model: gone.onnx}}",
            ],
            "verify_boxes: model 'gone.onnx' is no file that can be read",
        ),
        (
            [
                *BEFORE[:2],
                "ground: {grounder: ensemble, members: [{grounder: annotations}, {grounder: onx}]}",
            ],
            "ground: members.1: ground: option grounder 'onx' is not known",
        ),
    ],
)
def test_what_a_recipe_may_not_do(stages: list[str], message: str, write_recipe: Any) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(write_recipe(SCENES, stages)))


def test_the_code_of_a_grounder_within_decides_the_identity(
    write_recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gritmill.pipeline.engine import plan

    def identities() -> list[str]:
        parts = plan.Parts.of(job.source.parts())
        return [step.identity for step in plan.make_plan(job, parts).steps if step.name == "verify_boxes"]

    ensemble = "{grounder: ensemble, members: [{grounder: annotations}, {grounder: annotations}]}"
    stages = [*BEFORE, "referring_expressions", f"verify_boxes: {{agreement: {ensemble}}}"]
    job = load_recipe(str(write_recipe(SCENES, stages)))
    before = identities()
    within = "gritmill.stages.grounders.ensemble.grounder:EnsembleGrounder"
    monkeypatch.setitem(LOCK, within, Line("2", LOCK[within].digest))
    assert len(before) == 1 and identities() != before


def test_a_story_tells_what_was_measured() -> None:
    box = {"x1": 0.1, "y1": 0.2, "x2": 0.5, "y2": 0.9}
    grounded = {"span": {"start": 0, "end": 5}, "box": box, "score": 0.83, "model": "m@1", "phrase": "a dog"}
    check = {"check": "agreement", "passed": False, "value": 0.31, "threshold": 0.5}
    columns = {
        "box_checks": [[check, check | {"check": "min_area", "passed": True}], [check | {"value": math.nan}]],
        "dropped_boxes": [{"box": grounded, "reason": "agreement", "value": 0.31, "threshold": 0.5}],
    }
    story = Story(
        "key",
        "part",
        3,
        [
            Chapter("source", "kept", columns={"caption": "a dog"}),
            Chapter("verify_boxes", "kept", columns=columns),
        ],
    )
    place = '"a dog" [0:5] [0.100 0.200 0.500 0.900] score 0.830 by m@1'
    assert [line.strip() for line in story_lines(story)][-3:] == [
        "box_checks     agreement 0.31 (failed), min_area 0.31",
        "agreement (failed)",
        f"dropped_boxes  {place}: agreement 0.31, threshold 0.5",
    ]


def test_converting_counts_the_checks_that_it_leaves_out() -> None:
    from gritmill.pipeline.convert.groundings import Groundings
    from gritmill.pipeline.convert.sample import Losses

    losses = Losses()
    origin = {"model": "m@1", "phrase": "a dog"}
    item = [0, 5, 0.1, 0.2, 0.5, 0.9, 0.83]
    boxes = [origin | {"checks": {"agreement": True}}, origin]
    found = Groundings("a dog", "key", losses)
    found.add_items([item, item], None, boxes, None)
    assert len(found.boxes) == 2
    assert losses.parts == {"which checks a box passed": 1}

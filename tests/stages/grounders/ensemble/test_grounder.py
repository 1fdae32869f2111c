"""Several grounders as one: what they share, what only some see, and what a recipe may say of them."""

from pathlib import Path
from typing import Any

import pytest
from coco_captions import chunked
from odd_grounders import Fixed, WholeImage
from pydantic import ValidationError

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import GroundedBox, Reject, Span
from gritmill.stages.grounders.ensemble.grounder import EnsembleGrounder
from gritmill.stages.registry import stage_class

DOG, CAT = Span(0, 5), Span(10, 15)
LEFT, LEFT_WIDER, RIGHT = Box(0, 0, 0.4, 1), Box(0, 0, 0.5, 1), Box(0.6, 0, 1, 1)
BATCH: dict[str, list[Any]] = {"caption": ["a dog and a cat"], "noun_chunks": [[DOG, CAT]]}


def by(model: str, *boxes: tuple[Span, Box, float], phrase: str = "a dog") -> Fixed:
    return Fixed(candidates=[GroundedBox(span, box, score, model, phrase) for span, box, score in boxes])


def ensemble(*members: Fixed, **options: Any) -> EnsembleGrounder:
    return EnsembleGrounder(members=list(members), **options)


def found(stage: EnsembleGrounder) -> Any:
    stage.setup()
    [candidates] = stage.process(BATCH)["candidates"]
    return candidates


def test_boxes_around_one_thing_become_one_that_names_all_who_drew_it() -> None:
    stage = ensemble(by("b@2", (DOG, LEFT_WIDER, 0.3)), by("a@1", (DOG, LEFT, 0.9)))
    assert found(stage) == [GroundedBox(DOG, Box(0, 0, 0.425, 1), 0.6, "b@2 + a@1", "a dog")]


def test_phrases_are_fused_apart() -> None:
    stage = ensemble(by("a@1", (CAT, LEFT, 0.8)), by("b@2", (DOG, LEFT, 0.6)))
    assert found(stage) == [
        GroundedBox(DOG, LEFT, 0.3, "b@2", "a dog"),
        GroundedBox(CAT, LEFT, 0.4, "a@1", "a dog"),
    ]


def test_what_a_member_draws_twice_counts_once() -> None:
    twice = by("a@1", (DOG, LEFT_WIDER, 0.2), (DOG, LEFT, 0.8))
    assert found(ensemble(twice, by("b@2", (DOG, LEFT, 0.6)))) == [
        GroundedBox(DOG, LEFT, 0.7, "a@1 + b@2", "a dog")
    ]


def test_different_questions_are_both_named() -> None:
    stage = ensemble(by("a@1", (DOG, LEFT, 0.8)), by("b@2", (DOG, LEFT, 0.8), phrase="dog"))
    assert [box.phrase for box in found(stage)] == ["a dog + dog"]


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({}, [0.7, 0.2]),
        ({"min_members": 2}, [0.7]),
        ({"score_threshold": 0.21}, [0.7]),
        ({"weights": [3, 1]}, [0.75, 0.1]),  # (3 * 0.8 + 0.6) / 2 * 2 / 4; 0.4 / 4
    ],
)
def test_options(options: dict[str, Any], scores: list[float]) -> None:
    stage = ensemble(by("a@1", (DOG, LEFT, 0.8)), by("b@2", (DOG, LEFT, 0.6), (DOG, RIGHT, 0.4)), **options)
    assert [box.score for box in found(stage)] == pytest.approx(scores)


def test_a_member_that_rejects_the_sample_has_seen_nothing() -> None:
    refuses = Fixed(reject="unreadable_answer")
    assert [box.model for box in found(ensemble(refuses, by("a@1", (DOG, LEFT, 0.8))))] == ["a@1"]
    assert found(ensemble(refuses, refuses)) == Reject("unreadable_answer")


ANNOTATIONS = {"grounder": "annotations"}


def test_a_recipe_names_members_as_ground_does() -> None:
    onnx = {"grounder": "onnx", "model": "x.onnx"}
    cls = stage_class("ground", {"grounder": "ensemble"})
    stage = cls.model_validate({"grounder": "ensemble", "members": [ANNOTATIONS, onnx], "cpus": 3})
    assert set(stage.reads) == {"caption", "noun_chunks", "parse", "annotations", "image"}
    assert cls.reads == ("caption", "noun_chunks")
    assert [type(one).__name__ for one in stage.inner()] == ["AnnotationGrounder", "OnnxGrounder"]
    assert [one.cpus for one in stage.inner()] == [3, 3]
    assert stage.gpus == 0
    assert cls.model_validate(stage.model_dump(mode="json")) == stage
    assert not any("cpus" in member for member in stage.model_dump(mode="json")["members"])


def test_a_member_may_be_of_the_users_own() -> None:
    own = {"odd_grounders:WholeImage": {"score_threshold": 0.5}}
    stage = EnsembleGrounder.model_validate(
        {"members": [ANNOTATIONS, own, {"odd_grounders:WholeImage": None}]}
    )
    _, half, plain = stage.members
    assert half == WholeImage(score_threshold=0.5) and plain == WholeImage()
    dumped = stage.model_dump(mode="json")
    assert dumped["members"][1] == {
        "odd_grounders:WholeImage": {"score_threshold": 0.5, "grounder": "whole_image"}
    }
    assert EnsembleGrounder.model_validate(dumped) == stage


def test_it_holds_a_gpu_where_a_member_does_unless_told_otherwise() -> None:
    members = [ANNOTATIONS, {"grounder": "transformers"}]
    assert EnsembleGrounder.model_validate({"members": members}).gpus is None
    assert EnsembleGrounder.model_validate({"members": members, "gpus": 0}).gpus == 0


def test_versions_say_which_member_they_are_of() -> None:
    stage = EnsembleGrounder.model_validate({"members": [ANNOTATIONS, ANNOTATIONS]})
    names = stage.revision()
    assert names and {name.split(".")[0] for name in names} == {"1", "2"}


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({"members": [ANNOTATIONS]}, ("members",), "at least 2 items"),
        (
            {"members": [ANNOTATIONS, {"grounder": "onx"}]},
            ("members", 1),
            "'onx' is not known; choose one of",
        ),
        ({"members": [ANNOTATIONS, {"grounder": "onnx"}]}, ("members", 1, "model"), "Field required"),
        ({"members": [ANNOTATIONS, ANNOTATIONS | {"flor": 1}]}, ("members", 1, "flor"), "not permitted"),
        ({"members": [ANNOTATIONS, ANNOTATIONS | {"cpus": 2}]}, ("members", 1), "cpus: say so of the whole"),
        ({"members": [ANNOTATIONS, "onnx"]}, ("members", 1), "valid dictionary"),
        (
            {"members": [ANNOTATIONS, {"odd_grounders:Nowhere": {}}]},
            ("members", 1),
            "module 'odd_grounders' has no attribute 'Nowhere'",
        ),
        (
            {"members": [ANNOTATIONS, {"odd_grounders:LeftPart": {}}]},
            ("members", 1),
            "name a class that builds on Ground",
        ),
        (
            {"members": [ANNOTATIONS, {"odd_grounders:WholeImage": {"flor": 1}}]},
            ("members", 1, "flor"),
            "not permitted",
        ),
        (
            {"members": [ANNOTATIONS, {"odd_grounders:WholeImage": {"cpus": 1}}]},
            ("members", 1),
            "cpus: say so of the whole",
        ),
        ({"members": [ANNOTATIONS] * 2, "weights": [1]}, (), "2 members and 1 weights"),
        ({"members": [ANNOTATIONS] * 2, "weights": [1, 0]}, ("weights", 1), "greater than 0"),
        ({"members": [ANNOTATIONS] * 2, "min_members": 3}, (), "only 2"),
    ],
)
def test_mistakes(options: dict[str, Any], place: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EnsembleGrounder.model_validate(options)
    [detail] = caught.value.errors()
    assert detail["loc"] == place and message in detail["msg"]


def test_real_parts_on_real_photographs(yolox_nano: Path, coco_mini: Path) -> None:
    """What people drew and what YOLOX-nano sees of it: one box between the two."""
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    pytest.importorskip("spacy", reason="needs the extra `nlp`")
    columns = chunked(coco_mini, limit=60)
    onnx = {"grounder": "onnx", "model": str(yolox_nano), "score_threshold": 0.3}
    stage = EnsembleGrounder.model_validate({"members": [ANNOTATIONS, onnx], "min_members": 2})
    stage.setup()
    found = stage.process({name: columns[name] for name in stage.reads})["candidates"]
    boxes = [box for row in found for box in row]
    assert len(boxes) > 20
    assert {box.model.split("@")[0] for box in boxes} == {"annotations + yolox_nano.onnx"}
    assert all(box.box.is_valid and 0.4 <= box.score <= 1 for box in boxes)

"""What a run has written, read again."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import RecipeError, load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.output.formats import EXTENSIONS
from gritmill.pipeline.sources.finished import FinishedSource
from gritmill.pipeline.sources.mix import MixSource
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify.check import verify
from gritmill.schemas.columns import Reject
from gritmill.schemas.conversations import of_record
from gritmill.schemas.masks import Mask

pytest.importorskip("spacy", reason="needs the extra `nlp`")

BOX = [0, 5, 0.1, 0.1, 0.9, 0.9, 0.9]
MADE = {"model": "m", "phrase": "a dog"}

STAGES = [
    "image_check",
    "noun_chunks",
    "ground: {grounder: annotations}",
    "select_boxes",
    "referring_expressions",
    "tasks: {tasks: {rec: 1, reg: 1}}",
]


BOXES = STAGES[:-1]
TALK = [
    "image_check",
    "context: {boxes: none}",
    "generate: {backend: echo, prompts: caption/general}",
    "parse_replies",
]
CHECKED = [*BOXES, "verify_boxes: {max_area: 0.9, min_margin: 0.01, drops: []}"]


def segmented(folder):
    for package in ("onnxruntime", "onnx", "pycocotools"):
        pytest.importorskip(package, reason="needs the extras `onnx` and `masks`")
    from box_sam import save_sam

    model = save_sam(folder, "sam2")
    return [
        *CHECKED,
        f"segment: {{segmenter: onnx, encoder: {model['encoder']}, decoder: {model['decoder']}}}",
    ]


def made(write_recipe, source, stages, name):
    job = load_recipe(str(write_recipe(source, stages, name, folder=name)))
    run(job, Store(f"{job.output.dir}.work"), LocalRunner(), Progress())
    return job.output.dir


def records(folder):
    found = {}
    for path in sorted(Path(folder).glob("data/*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    record = json.load(file)
                    found[record["key"]] = record
    return found


def finished(folder, **options):
    return FinishedSource(shards=f"{folder}/data/*.tar", **options)


def same_but_for_the_source(before, after):
    assert before.keys() == after.keys() and len(before) >= 6
    for key, record in before.items():
        written = after[key]
        assert written.pop("source") != record.pop("source"), "its bytes lie in the shards of the first"
        assert written == record


@pytest.mark.parametrize(
    ("stages", "fields"),
    [
        (["image_check"], set()),
        (BOXES, {"boxes", "ref_exps", "noun_chunks"}),
        (STAGES, {"boxes", "ref_exps", "noun_chunks", "conversations"}),
        (TALK, {"conversations", "provenance"}),
        (segmented, {"boxes", "ref_exps", "noun_chunks", "masks"}),
    ],
    ids=["nothing", "boxes", "boxes and talk", "talk", "masks and checks"],
)
def test_a_run_read_and_written_again_is_the_same(stages, fields, write_recipe, tmp_path):
    stages = stages(tmp_path) if callable(stages) else stages
    first = made(write_recipe, "type: scenes, count: 6, size: 96", stages, "first")
    again = made(write_recipe, f"type: finished, shards: {first}/data/*.tar", ["image_check"], "again")
    before = records(first)
    assert all(fields <= record.keys() for record in before.values())
    if "masks" in fields:
        boxes = [box for record in before.values() for box in record["boxes"]]
        assert {passed for box in boxes for passed in box["checks"].values()} == {True, False}
    same_but_for_the_source(before, records(again))


@pytest.mark.parametrize(("carry", "makers"), [("", {"tasks", "again"}), (", carry: [boxes]", {"again"})])
def test_conversations_of_a_run_come_before_those_that_are_made(carry, makers, write_recipe):
    first = made(write_recipe, "type: scenes, count: 6, size: 96", STAGES, "first")
    source = f"type: finished, shards: {first}/data/*.tar{carry}"
    again = made(write_recipe, source, ["image_check", "caption_conversations: {as: again}"], "again")
    for record in records(again).values():
        told = [each.provenance.maker for each in of_record(record)]
        assert told == sorted(makers, reverse=True) == [origin["maker"] for origin in record["provenance"]]


@pytest.mark.parametrize("extension", EXTENSIONS.values())
def test_images_of_every_format_are_found(extension, write_recipe, tmp_path):
    stages = [f"image_check: {{formats: [{', '.join(EXTENSIONS)}]}}"]
    for i in range(6):
        Image.new("RGB", (64, 64), (i, 0, 0)).save(tmp_path / f"{i}.{extension}")
        (tmp_path / f"{i}.txt").write_text("a dog")
    source = f"type: folder, path: {tmp_path}"
    first = made(write_recipe, source, stages, "first")
    again = made(write_recipe, f"type: finished, shards: {first}/data/*.tar", stages, "again")
    same_but_for_the_source(records(first), records(again))


def test_long_keys_are_those_of_the_run(write_recipe, tmp_path):
    for i in range(6):
        Image.new("RGB", (64, 64), (i, 0, 0)).save(tmp_path / f"{i}{'x' * 150}.png")
        (tmp_path / f"{i}{'x' * 150}.txt").write_text("a dog")
    first = made(write_recipe, f"type: folder, path: {tmp_path}", ["image_check"], "first")
    again = made(write_recipe, f"type: finished, shards: {first}/data/*.tar", ["image_check"], "again")
    before = records(first)
    assert {len(key) for key in before} == {100}
    same_but_for_the_source(before, records(again))


def test_boxes_without_expressions_have_their_noun_chunks(write_recipe):
    first = made(write_recipe, "type: scenes, count: 6", BOXES[:-1], "first")
    again = made(write_recipe, f"type: finished, shards: {first}/data/*.tar", ["image_check"], "again")
    before = records(first)
    assert not any("ref_exps" in record for record in before.values())
    for record in before.values():
        record["ref_exps"] = record["noun_chunks"]
    same_but_for_the_source(before, records(again))


def test_in_a_mix_all_records_have_the_same_fields(write_recipe, tmp_path):
    runs = {"masks": segmented(tmp_path), "boxes": BOXES, "talk": TALK[:1]}
    found = {
        name: made(write_recipe, "type: scenes, count: 4", stages, name) for name, stages in runs.items()
    }
    sources = ", ".join(f"{n}: {{type: finished, shards: {f}/data/*.tar}}" for n, f in found.items())
    mixed = made(write_recipe, f"type: mix, sources: {{{sources}}}", ["image_check"], "mixed")
    written = records(mixed)
    assert len({tuple(record) for record in written.values()}) == 1
    for key, record in written.items():
        assert len(record["masks"]) == len(record["boxes"]) == len(record["ref_exps"])
        has_masks = key.startswith("masks-")
        assert bool(record["boxes"]) != key.startswith("talk-")
        for mask, box in zip(record["masks"], record["boxes"], strict=True):
            assert bool(Mask.from_item(mask).area) == bool(mask["model"]) == bool(box["checks"]) == has_masks
    assert verify([mixed]).errors == 0


def test_runs_are_mixed_with_what_they_made(write_recipe):
    talk = made(write_recipe, "type: scenes, count: 4", STAGES, "talk")
    boxes = made(write_recipe, "type: scenes, count: 4, seed: 1", STAGES[:-1], "boxes")
    runs = {"talk": talk, "boxes": boxes}
    sources = ", ".join(f"{n}: {{type: finished, shards: {f}/data/*.tar}}" for n, f in runs.items())
    mixed = records(made(write_recipe, f"type: mix, sources: {{{sources}}}", ["image_check"], "mixed"))
    for name, folder in runs.items():
        for key, record in records(folder).items():
            written = mixed[f"{name}-{key}"]
            assert written["ref_exps"] == record["ref_exps"] and record["ref_exps"]
            assert json.loads(written["conversations"]) == json.loads(record.get("conversations", "[]"))


def test_only_what_is_asked_for_is_carried(write_recipe):
    first = made(write_recipe, "type: scenes, count: 6", STAGES, "first")
    assert {"boxes", "ref_exps", "conversations"} <= finished(first).provides().keys()
    columns = finished(first, carry=["boxes"]).provides()
    assert "boxes" in columns and "conversations" not in columns
    mix = {"type": "mix", "sources": {"a": {"type": "finished", "shards": f"{first}/data/*.tar"}}}
    assert "conversations" in MixSource.model_validate(mix).provides()


def test_what_is_carried_stays_true(write_recipe, tmp_path):
    pytest.importorskip("phonenumbers", reason="needs the extra `filters`")
    first = made(write_recipe, "type: scenes, count: 6", segmented(tmp_path), "first")
    verified, rewritten = ["image_check", "verify_boxes: {max_area: 0.9}"], ["image_check", "personal_data"]

    def load(stages, carry):
        source = f"type: finished, shards: {first}/data/*.tar, carry: {carry}"
        return load_recipe(str(write_recipe(source, stages)))

    load(verified, "[boxes, checks]")
    with pytest.raises(
        RecipeError, match="masks would no longer be theirs.* let the source not `carry` them"
    ):
        load(verified, "[boxes, masks]")
    with pytest.raises(RecipeError, match="rewrites caption,.* let the source not `carry` boxes"):
        load(rewritten, "[boxes]")
    with pytest.raises(
        RecipeError, match="carry names conversations, of which the records of this run have none"
    ):
        load(["image_check"], "[boxes, conversations]")
    with pytest.raises(RecipeError, match="carry names masks without the boxes"):
        load(["image_check"], "[masks]")


def tar_of(path, record):
    with tarfile.open(path, "w") as tar:
        for name, data in (("a.jpg", b"x"), ("a.txt", b"a dog"), ("a.json", json.dumps(record).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("record", [{"url": "https://a.example/1.jpg"}, [], {"boxes": "x"}])
def test_shards_of_no_run_are_read_otherwise(tmp_path, record):
    tar_of(tmp_path / "0.tar", record)
    source = FinishedSource(shards=f"{tmp_path}/*.tar")
    assert "boxes" not in source.provides()
    assert source.problems() == [
        f"{tmp_path}/0.tar holds no record that a run has written; read it as `type: webdataset`"
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"captions": "a dog"},
        {"metadata": {}},
        {"noun_chunks": [[0, 5, 0, 0, 1, 1, 0.9]], "boxes": []},
        {"noun_chunks": [["a"] * 7], "boxes": [{}]},
        {"noun_chunks": [BOX], "boxes": [MADE], "ref_exps": []},
        {"noun_chunks": [BOX], "boxes": [MADE], "masks": []},
        {"noun_chunks": [BOX], "boxes": [MADE], "masks": [{"size": [4, 3], "counts": "5", "score": 1}]},
        {"noun_chunks": [BOX], "boxes": [MADE | {"checks": {"taste": True}}]},
        {"noun_chunks": [BOX], "boxes": [MADE | {"checks": {"min_area": "yes"}}]},
        {"noun_chunks": [BOX], "boxes": ["m"]},
        {"key": ""},
        {"key": 3},
        {"conversations": "[{}]"},
        {"conversations": 3},
        {"provenance": [{"task": "rec"}]},
        {"provenance": 3},
    ],
)
def test_records_that_are_none_are_rejected(tmp_path, record):
    tar_of(tmp_path / "0.tar", record)
    source = FinishedSource(shards=f"{tmp_path}/0.tar", carry=["boxes", "masks", "checks", "conversations"])
    [part] = source.parts()
    [found] = source.read(part)["conversations"]
    assert isinstance(found, Reject) and found.reason == "bad_record"

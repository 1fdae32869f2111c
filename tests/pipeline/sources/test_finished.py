"""What a run has written, read again."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from pipeline.progress import Progress
from pipeline.recipes import load_recipe
from pipeline.run import run
from pipeline.runners.local import LocalRunner
from pipeline.sources.finished import FinishedSource
from pipeline.sources.mix import MixSource
from pipeline.store import Store
from schemas.columns import Reject

pytest.importorskip("spacy", reason="needs the extra `nlp`")

STAGES = [
    "image_check",
    "noun_chunks",
    "ground: {grounder: annotations}",
    "select_boxes",
    "referring_expressions",
    "tasks: {tasks: {rec: 1, reg: 1}}",
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


def test_a_run_read_and_written_again_is_the_same(write_recipe):
    first = made(write_recipe, "type: scenes, count: 6", STAGES, "first")
    again = made(write_recipe, f"type: finished, shards: {first}/data/*.tar", ["image_check"], "again")
    before, after = records(first), records(again)
    assert before.keys() == after.keys() and len(before) >= 6
    for key, record in before.items():
        written = after[key]
        assert written.pop("source") != record.pop("source"), "its bytes lie in the shards of the first"
        assert written == record


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


def test_only_what_is_asked_for_is_carried():
    columns = FinishedSource(shards="x.tar", carry=["boxes"]).provides()
    assert "boxes" in columns and "conversations" not in columns
    mix = {"type": "mix", "sources": {"a": {"type": "finished", "shards": "x.tar"}}}
    assert "conversations" in MixSource.model_validate(mix).provides()


@pytest.mark.parametrize(
    "record",
    [
        {"captions": "a dog"},
        {"metadata": {}},
        {"noun_chunks": [[0, 5, 0, 0, 1, 1, 0.9]], "boxes": []},
        {"noun_chunks": [["a"] * 7], "boxes": [{}]},
        {"conversations": "[{}]"},
        {"conversations": 3},
        {"provenance": [{"task": "rec"}]},
        {"provenance": 3},
    ],
)
def test_records_that_are_none_are_rejected(tmp_path, record):
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("a.jpg", b"x"), ("a.txt", b"a dog"), ("a.json", json.dumps(record).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    source = FinishedSource(shards=str(path))
    [part] = source.parts()
    [found] = source.read(part)["conversations"]
    assert isinstance(found, Reject) and found.reason == "bad_record"

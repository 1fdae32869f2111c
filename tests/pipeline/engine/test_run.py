"""The main job, in process: what a run makes, resumes, refuses and survives."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from gritmill.pipeline.engine.plan import Parts, Step, make_plan
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import load_recipe
from gritmill.pipeline.engine.run import Finished, limited, run, work_directory
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.engine.worker import Worker
from gritmill.pipeline.inspect.why import tell
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

SCENES = "type: scenes, count: 40, part_size: 10"
GRIT = [
    "image_check: {min_side: 64}",
    "noun_chunks",
    "ground: {grounder: annotations}",
    "select_boxes: {min_score: 0.65}",
    "referring_expressions",
]

Write = Callable[..., Path]


def go(recipe: Path, *overrides: str, limit: int | None = None) -> Finished:
    job = load_recipe(str(recipe), overrides)
    return run(job, Store(work_directory(job, None)), LocalRunner(), Progress(), limit)


def story(recipe: Path, key: str, *overrides: str) -> list[tuple[str, str, str]]:
    job = load_recipe(str(recipe), overrides)
    plan = make_plan(job, Parts.of(limited(job, None)))
    [only] = tell(plan, Store(work_directory(job, None)), key)
    return [(chapter.step, chapter.verdict, chapter.reason) for chapter in only.chapters]


def sums(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def inodes(work: Path) -> dict[str, int]:
    return {str(p.relative_to(work)): p.stat().st_ino for p in work.glob("*-*/*.parquet")}


def records(folder: Path) -> list[dict[str, object]]:
    found = []
    for path in sorted((folder / "data").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    found.append(json.load(file))
    return found


def test_scenes_become_grounded_shards(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(
        SCENES, GRIT, output="formats: [webdataset, parquet, coco], shard_size: 100KB, splits: {test: 0.2}"
    )
    finished = go(recipe)
    out = tmp_path / "out"
    stats = json.loads((out / "stats.json").read_text())
    assert stats["splits"]["train"]["shards"] > 1
    assert stats["splits"]["test"]["samples"] > 0
    names = sorted(path.name for path in (out / "data").glob("train-*"))
    count = len(names)
    assert names == [f"train-{i:05d}-of-{count:05d}.tar" for i in range(count)]
    checked = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    found = records(out)
    assert len(found) == finished.totals["write"].rows_out > 20
    for record in found:
        caption = record["caption"]
        assert isinstance(caption, str)
        for start, end, x1, y1, x2, y2, score in record["noun_chunks"]:  # type: ignore[attr-defined]
            assert caption[start:end].strip() == caption[start:end] != ""
            assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1 and 0.65 <= score <= 1
    splits: dict[object, set[object]] = {}
    for record in found:
        splits.setdefault(record["image_id"], set()).add(record["split"])
    assert all(len(of_image) == 1 for of_image in splits.values())


def test_a_second_run_does_nothing_and_changes_nothing(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, GRIT)
    go(recipe)
    before, output = inodes(tmp_path / "out.work"), sums(tmp_path / "out")
    go(recipe)
    assert (inodes(tmp_path / "out.work"), sums(tmp_path / "out")) == (before, output)


def test_editing_a_stage_does_it_again_and_what_follows_but_nothing_before(
    write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(SCENES, GRIT)
    go(recipe)
    work = tmp_path / "out.work"
    before, folders = inodes(work), {p.name for p in work.iterdir() if p.is_dir()}
    go(recipe, "stages.select_boxes.min_area=0.01")
    assert {name: inodes(work)[name] for name in before} == before
    new = {p.name.rsplit("-", 1)[0] for p in work.iterdir() if p.is_dir() and p.name not in folders}
    assert new == {"select_boxes", "referring_expressions", "shards", "shards.sketch", "write"}


def test_how_it_runs_does_not_make_it_run_again(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, GRIT)
    go(recipe)
    before = inodes(tmp_path / "out.work")
    go(recipe, "stages.noun_chunks.batch_size=7", "stages.ground.cpus=0.5")
    assert inodes(tmp_path / "out.work") == before


def test_going_back_to_an_earlier_recipe_gives_its_bytes_again(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, GRIT, output="shard_size: 100KB, formats: [webdataset, coco]")
    go(recipe)
    first = sums(tmp_path / "out")
    go(recipe, "stages.select_boxes.min_area=0.05")
    assert sums(tmp_path / "out") != first
    go(recipe)
    assert sums(tmp_path / "out") == first


def test_an_emptied_output_folder_is_filled_again(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, GRIT, output="formats: [webdataset, parquet, coco]")
    go(recipe)
    first = sums(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    go(recipe)
    assert sums(tmp_path / "out") == first


def test_added_files_are_the_only_ones_read(write_recipe: Write, tmp_path: Path) -> None:
    photos = tmp_path / "tars"
    photos.mkdir()
    for i in (0, 2):
        make_tar(photos / f"{i:05d}.tar", keys=[f"{i}-{j}" for j in range(3)])
    recipe = write_recipe(f"type: webdataset, shards: {photos}/*.tar", ["image_check: {min_side: 8}"])
    go(recipe)
    before = inodes(tmp_path / "out.work")
    make_tar(photos / "00001.tar", keys=["1-0", "1-1"])
    finished = go(recipe)
    after = inodes(tmp_path / "out.work")
    again = {name for name, inode in before.items() if after.get(name) != inode}
    assert not {name for name in again if name.startswith(("source", "image_check"))}
    assert [record["key"] for record in records(tmp_path / "out")][3:5] == ["1-0", "1-1"]
    assert finished.totals["write"].rows_out == 8


def make_tar(path: Path, keys: list[str], bad: str | None = None) -> None:
    picture = Image.new("RGB", (16, 16), "teal")
    good = path.with_suffix(".jpg")
    picture.save(good)
    data = good.read_bytes()
    good.unlink()
    import io

    with tarfile.open(path, "w") as tar:
        for key in keys:
            image = data[: len(data) // 2] if key == bad else data
            for name, content in ((f"{key}.jpg", image), (f"{key}.txt", f"a dog number {key}".encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def test_one_corrupt_image_of_two_thousand_costs_one_row(write_recipe: Write, tmp_path: Path) -> None:
    keys = [f"{i:09d}" for i in range(2000)]
    make_tar(tmp_path / "a.tar", keys[:1000])
    make_tar(tmp_path / "b.tar", keys[1000:], bad=keys[1234])
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/*.tar", ["image_check: {min_side: 8}"])
    finished = go(recipe)
    assert [record["key"] for record in records(tmp_path / "out")] == keys[:1234] + keys[1235:]
    assert dict(finished.totals["image_check"].rejected) == {"undecodable": 1}
    assert story(recipe, keys[1234]) == [
        ("source", "kept", ""),
        ("image_check", "rejected", "undecodable"),
    ]


def test_rows_that_raise_are_lost_alone_and_why_says_so(write_recipe: Write, tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar", [f"{i:03d}" for i in range(300)])
    stages = ["image_check: {min_side: 8}", "odd_stages:RaisesOn: {word: '123'}"]
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/*.tar", stages)
    finished = go(recipe)
    total = finished.totals["odd_stages:RaisesOn"]
    assert (total.rows_in, total.rows_out, dict(total.failed)) == (300, 299, {"ValueError": 1})
    assert story(recipe, "123")[-1] == ("odd_stages:RaisesOn", "failed", "ValueError")


@pytest.mark.parametrize(
    ("stages", "extra", "words"),
    [
        (["odd_stages:RaisesOn: {word: 'a'}"], "", ["rows failed", "ValueError", "max_failed_fraction"]),
        (["odd_stages:RaisesOn: {word: '7'}"], "max_failed_fraction: 0", ["2 of 20 rows failed"]),
        (["odd_stages:DropsAll: {}"], "", ["no sample is left", "never_good_enough 20"]),
        (["odd_stages:SetupFails: {}"], "", ["the model nowhere/none is not there"]),
    ],
)
def test_a_run_that_goes_wrong_stops_with_a_sentence(
    stages: list[str], extra: str, words: list[str], write_recipe: Write, tmp_path: Path
) -> None:
    make_tar(tmp_path / "a.tar", [f"{i:02d}" for i in range(20)])
    recipe = write_recipe(
        f"type: webdataset, shards: {tmp_path}/*.tar", ["image_check: {min_side: 8}", *stages], extra=extra
    )
    with pytest.raises(UserError) as caught:
        go(recipe)
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "out" / "SHA256SUMS").exists()


def test_a_stage_that_breaks_its_contract_is_our_bug_not_a_bad_row(write_recipe: Write) -> None:
    recipe = write_recipe(SCENES, ["image_check", "odd_stages:BreaksContract: {}"])
    with pytest.raises(Exception, match="returned 1 of words"):
        go(recipe)


def test_a_key_that_comes_twice_is_kept_once(write_recipe: Write, tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar", ["one", "two"])
    make_tar(tmp_path / "b.tar", ["two", "three"])
    recipe = write_recipe(f"type: webdataset, shards: {tmp_path}/*.tar", ["image_check: {min_side: 8}"])
    finished = go(recipe)
    assert [record["key"] for record in records(tmp_path / "out")] == ["one", "two", "three"]
    assert dict(finished.totals["shards"].rejected) == {"duplicate_key": 1}


def test_the_output_of_another_recipe_is_left_alone(write_recipe: Write, tmp_path: Path) -> None:
    go(write_recipe(SCENES, ["image_check"], name="mine"))
    with pytest.raises(UserError, match="another recipe, 'mine'"):
        go(write_recipe(SCENES, ["image_check"], name="yours"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday").mkdir()
    with pytest.raises(UserError, match="not empty"):
        go(write_recipe(SCENES, ["image_check"], folder="photos"))


def test_a_limit_takes_the_first_samples(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, ["image_check"])
    go(recipe, limit=25)
    limited_keys = [record["key"] for record in records(tmp_path / "out")]
    go(recipe)
    assert limited_keys == [record["key"] for record in records(tmp_path / "out")][:25]


def test_an_image_that_vanishes_before_writing_is_counted(write_recipe: Write, tmp_path: Path) -> None:
    lines = []
    for i in range(20):
        Image.new("RGB", (64, 64), (i, 0, 0)).save(tmp_path / f"{i}.jpg")
        lines.append(json.dumps({"image": f"{i}.jpg", "caption": "a dog"}))
    (tmp_path / "table.jsonl").write_text("\n".join(lines))
    recipe = write_recipe(
        f"type: table, path: {tmp_path}/table.jsonl", ["image_check"], extra="max_failed_fraction: 0.1"
    )
    go(recipe)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "7.jpg").unlink()
    finished = go(recipe)
    assert dict(finished.totals["write"].failed) == {"FileNotFoundError": 1}
    assert len(records(tmp_path / "out")) == finished.totals["write"].rows_out == 19


def test_disk_full_is_one_sentence_and_the_run_goes_on_after_it(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    recipe = write_recipe(SCENES, ["image_check"])
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 21:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device. Free some space and run the same command"):
        go(recipe)
    monkeypatch.setattr(os, "fsync", real)
    before = inodes(tmp_path / "out.work")
    go(recipe)
    assert before and {name: inodes(tmp_path / "out.work")[name] for name in before} == before


def test_what_a_kill_left_half_written_is_removed(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, ["image_check"], output="formats: [webdataset, coco]")
    go(recipe)
    halves = [tmp_path / place / ".tmp-01234567-x" for place in ("out", "out/data", "out/coco", "out.work")]
    halves += [folder / ".tmp-01234567-x" for folder in (tmp_path / "out.work").iterdir() if folder.is_dir()]
    for half in halves:
        half.write_bytes(b"half")
    go(recipe)
    assert [half for half in halves if half.exists()] == []


def test_files_of_the_user_s_own_beside_the_shards_stay(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, ["image_check"], output="shard_size: 100KB")
    go(recipe)
    (tmp_path / "out" / "data" / "notes.txt").write_text("mine")
    go(recipe, "output.shard_size=1GB")
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert names == ["notes.txt", "train-00000-of-00001.tar"]


def test_slices_that_a_killed_run_left_are_removed(write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(SCENES, ["image_check"])
    go(recipe)
    [folder] = (tmp_path / "out.work").glob("image_check-*")
    piece = folder / "0123456789abcdef.000000000-000000005.piece"
    piece.write_bytes(b"")
    go(recipe)
    assert not piece.exists()


class HasWorkers(LocalRunner):
    """As if this process had the versions that a stage wants."""

    def start(self, make_worker: Callable[[], Worker], steps: Sequence[Step]) -> None:
        super().start(make_worker, ())


def test_who_must_wait_for_workers_is_told_what_for(
    write_recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    job = load_recipe(str(write_recipe(SCENES, ["image_check", "odd_stages:OtherVersion"])))
    for is_told in (True, False):  # the second time there is nothing to wait for
        run(job, Store(work_directory(job, None)), HasWorkers(), Progress())
        assert ("OtherVersion: wants iniconfig==2.0.0; Ray makes" in capsys.readouterr().err) is is_told

"""Pushing to a server that speaks the hub's protocol: what goes there, what stays, and what goes wrong."""

import functools
import hashlib
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import TOKEN, Blob, Hub, Repo, serve

from gritmill.pipeline.card import write_card
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import find_run_files, load_recipe
from gritmill.pipeline.engine.run import run, work_directory
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.push import Pushed
from gritmill.pipeline.push import push as push_dataset
from gritmill.pipeline.push.checks import licences_in
from gritmill.pipeline.push.files import LocalFile, batches, is_ours
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import VerifyReport, verify
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import public
from gritmill.schemas.recipe import Card

REPO = "someone/scenes"
CARD = "---\nlicense: cc-by-4.0\n---\n# Scenes\n"

Push = Callable[..., Pushed]


def make(tmp_path: Path, count: int = 24) -> Path:
    """A dataset of a few shards, made by a run; gives its folder."""
    recipe = tmp_path / "scenes.yaml"
    recipe.write_text(
        f"name: scenes\nsource: {{type: scenes, count: {count}, part_size: 12}}\nstages: [image_check]\n"
        f"output: {{dir: {tmp_path / 'out'}, formats: [webdataset, parquet, coco], shard_size: 60KB}}\n"
    )
    job = load_recipe(str(recipe))
    run(job, Store(work_directory(job, None)), LocalRunner(), Progress())
    (tmp_path / "out" / "README.md").write_text(CARD)
    return tmp_path / "out"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    """A copy that the test may change. Its recipe still names the folder that it was made in."""
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with nothing on it, to which this process and those it starts turn."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with serve(Hub()) as hub:
        # What the library makes of HF_ENDPOINT as it is imported, which it is by now.
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        for name, value in {
            "HF_ENDPOINT": hub.address,
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "hf"),
        }.items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, in no time."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def job_of(dataset: Path) -> RunFiles:
    return find_run_files(str(dataset))


@pytest.fixture
def push(dataset: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Push:
    # In this process: to start others takes longer than to check a few small shards.
    monkeypatch.setattr("gritmill.pipeline.push.checks.verify", functools.partial(verify, jobs=1))
    return functools.partial(push_dataset, job_of(dataset), REPO, say=lambda line: None)


def on_disk(dataset: Path) -> dict[str, bytes]:
    """What belongs on the hub: everything as it is, but for the recipe, which names places, and what only
    tells runs whether the source is theirs."""
    files = {p.relative_to(dataset).as_posix(): p.read_bytes() for p in dataset.rglob("*") if p.is_file()}
    recipe = public(yaml.safe_load(files["recipe.yaml"]))
    del files["source.sha256"]
    return {**files, "recipe.yaml": yaml.safe_dump(recipe, sort_keys=False).encode()}


def on_hub(hub: Hub, repo: str = REPO) -> dict[str, bytes]:
    return {path: data for path, data in hub.repos[repo].files.items() if path != ".gitattributes"}


def test_everything_arrives_in_one_commit_with_its_tag(dataset: Path, hub: Hub, push: Push) -> None:
    pushed = push()
    assert on_hub(hub) == on_disk(dataset)
    assert sum(path.endswith(".tar") for path in pushed.uploaded) > 2
    assert set(pushed.uploaded) == set(on_disk(dataset)) and pushed.deleted == ()
    assert pushed.bytes == sum(map(len, on_disk(dataset).values()))
    repo = hub.repos[REPO]
    fingerprint = hashlib.sha256((dataset / "SHA256SUMS").read_bytes()).hexdigest()
    assert pushed.tag == f"run-{fingerprint[:12]}"
    assert repo.refs == {"main": pushed.commit, pushed.tag: pushed.commit}
    assert len(repo.commits) == 2 and not repo.private
    assert pushed.url == f"{hub.address}/datasets/{REPO}"


def test_a_second_push_sends_nothing(dataset: Path, hub: Hub, push: Push) -> None:
    first = push()
    hub.requests.clear()
    again = push()
    assert (again.uploaded, again.deleted, again.bytes) == ((), (), 0)
    assert again.commit == first.commit and len(hub.repos[REPO].commits) == 2
    assert not [r for r in hub.requests if "commit" in r or "batch" in r or "preupload" in r]


def test_only_what_changed_is_sent_and_only_our_stale_shards_go(
    dataset: Path, hub: Hub, push: Push, tmp_path: Path
) -> None:
    first = push()
    repo = hub.repos[REPO]
    theirs = {"data/notes.tar": Blob(b"x"), "pictures/train.png": Blob(b"y"), "data/extra.txt": Blob(b"z")}
    repo.add({**repo.commits[repo.refs["main"]], **theirs})
    (dataset / "README.md").write_text(CARD + "More.\n")
    hub.uploads.clear()
    assert push().uploaded == ("README.md",)
    assert hub.uploads == []
    (tmp_path / "more").mkdir()
    bigger = make(tmp_path / "more", 40)
    before = on_hub(hub)
    pushed = push_dataset(job_of(bigger), REPO, say=lambda line: None)
    assert on_hub(hub) == {**on_disk(bigger), **{path: blob.data for path, blob in theirs.items()}}
    ours = {path for path in before if is_ours(path)}
    assert set(pushed.deleted) == ours - set(on_disk(bigger)) != set()
    assert pushed.tag != first.tag and repo.refs[first.tag] == first.commit


def test_a_dry_run_tells_and_changes_nothing(dataset: Path, hub: Hub, push: Push) -> None:
    told: list[str] = []
    planned = push(dry_run=True, say=told.append)
    assert hub.repos == {} and hub.storage == {}
    assert planned.commit is None and set(planned.uploaded) == set(on_disk(dataset))
    assert all(any(f"would upload {path} (" in line for line in told) for path in planned.uploaded)
    push()
    before = dict(hub.repos[REPO].refs)
    assert push(dry_run=True).uploaded == ()
    assert hub.repos[REPO].refs == before


def test_private(dataset: Path, hub: Hub, push: Push) -> None:
    push(private=True)
    assert hub.repos[REPO].private
    push(private=True)
    hub.repos[REPO].private = False
    with pytest.raises(UserError, match="already and public"):
        push(private=True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train.csv": b"a,b"}, "holds what is no dataset of ours"),
        ({"stats.json": b'{"name": "other", "funnel": []}'}, "dataset of another recipe, 'other'"),
        ({"stats.json": b"not json"}, "holds what is no dataset of ours"),
    ],
)
def test_repositories_of_somebody_else_are_left_alone(
    files: dict[str, bytes], words: str, dataset: Path, hub: Hub, push: Push
) -> None:
    repo = hub.repos[REPO] = Repo()
    before = repo.add({path: Blob(data) for path, data in files.items()})
    with pytest.raises(UserError, match=words):
        push()
    assert repo.refs == {"main": before}
    push(force=True)
    assert on_hub(hub) == {**files, **on_disk(dataset)}


def test_a_repository_made_on_the_page_is_taken(dataset: Path, hub: Hub, push: Push) -> None:
    hub.repos[REPO] = Repo()
    hub.repos[REPO].add({".gitattributes": Blob(b""), "README.md": Blob(b"# Soon")})
    push()
    assert on_hub(hub) == on_disk(dataset)


# What is refused before anything is sent


def test_unfinished_runs(dataset: Path, hub: Hub, push: Push) -> None:
    (dataset / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="no finished dataset"):
        push(force=True)
    assert hub.requests == []


def test_a_recipe_that_has_changed_since(dataset: Path, hub: Hub, push: Push) -> None:
    job = replace(job_of(dataset), data={"name": "scenes"})
    with pytest.raises(UserError, match="another state of the recipe"):
        push_dataset(job, REPO)


def test_a_missing_shard(dataset: Path, hub: Hub, push: Push) -> None:
    next(dataset.glob("parquet/*.parquet")).unlink()
    with pytest.raises(UserError, match=r"lacks parquet/train-.*run the recipe again"):
        push()


def test_damaged_shards(dataset: Path, hub: Hub, push: Push) -> None:
    tar = next(dataset.glob("data/*.tar"))
    data = bytearray(tar.read_bytes())
    data[2000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(UserError, match="finds . errors; mend them, or push with --force"):
        push()
    assert hub.requests == []
    told: list[str] = []
    push(force=True, say=told.append)
    assert any(line.startswith("warning: `pipeline verify") for line in told)
    assert on_hub(hub)[tar.relative_to(dataset).as_posix()] == bytes(data)


def test_damaged_parquet(dataset: Path, hub: Hub, push: Push) -> None:
    damage(next(dataset.glob("parquet/*.parquet")))
    with pytest.raises(UserError, match="finds 1 errors"):
        push()
    assert hub.requests == []


def test_a_file_that_changes_after_it_was_checked(
    dataset: Path, hub: Hub, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_and_damage(urls: list[str]) -> VerifyReport:
        report = verify(urls, jobs=1)
        damage(next(dataset.glob("parquet/*.parquet")))
        return report

    monkeypatch.setattr("gritmill.pipeline.push.checks.verify", check_and_damage)
    with pytest.raises(UserError, match="is not what the run wrote"):
        push()
    assert on_hub(hub) == {}


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


# What nobody shall know


def test_what_is_pushed_names_no_place_of_this_machine(
    dataset: Path, made: Path, hub: Hub, push: Push
) -> None:
    assert str(made).encode() in (dataset / "recipe.yaml").read_bytes()
    push()
    for path, data in on_hub(hub).items():
        assert str(made.parent).encode() not in data, path
        assert str(Path.home()).encode() not in data, path
    assert yaml.safe_load(on_hub(hub)["recipe.yaml"])["output"]["dir"] == ".../out"


def test_records_do_not_tell_where_the_images_lay(tmp_path: Path, coco_mini: Path) -> None:
    shards = []
    for folder in ("here", "there"):
        shutil.copytree(coco_mini / "images", tmp_path / folder / "images")
        recipe = tmp_path / folder / "photos.yaml"
        recipe.write_text(
            f"name: photos\nsource: {{type: coco, images: {tmp_path / folder / 'images'}, "
            f"captions: {coco_mini / 'captions.json'}, per: image}}\nstages: [image_check]\n"
            f"output: {{dir: {tmp_path / folder / 'out'}, formats: [parquet]}}\n"
        )
        job = load_recipe(str(recipe))
        run(job, Store(work_directory(job, None)), LocalRunner(), Progress())
        [path] = (tmp_path / folder / "out").glob("parquet/*")
        shards.append(path.read_bytes())
        uris = {source["uri"] for source in pq.read_table(path)["source"].to_pylist()}
        assert len(uris) == 80 and all(uri.startswith(".../0") for uri in uris)
    assert shards[0] == shards[1]


@pytest.mark.parametrize("path", ["README.md", "report.md", "report.html", "LICENSE"])
def test_a_file_that_names_a_place_stays_at_home(
    path: str, dataset: Path, made: Path, hub: Hub, push: Push
) -> None:
    with (dataset / path).open("a") as file:
        file.write(f"\nfrom {made}\n")
    with pytest.raises(UserError, match=f"{path} names a folder of this machine, /.*--force"):
        push()
    assert hub.requests == []
    push(force=True)
    assert path in on_hub(hub)


def test_what_was_pushed_can_be_verified(dataset: Path, hub: Hub, push: Push, tmp_path: Path) -> None:
    push()
    for path, data in on_hub(hub).items():
        (tmp_path / "down" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "down" / path).write_bytes(data)
    report = verify([str(tmp_path / "down")], jobs=1)
    assert report.ok and not report.findings.counts and report.checksums == report.shards + report.files > 3


# The card


def test_the_card_and_its_pictures_go_along(dataset: Path, hub: Hub, push: Push) -> None:
    (dataset / "README.md").unlink()
    write_card(Store(str(dataset)))
    pushed = push(force=True)
    assert {"README.md", "croissant.json", "samples/1.jpg", "samples/6.jpg"} <= set(pushed.uploaded)
    assert on_hub(hub) == on_disk(dataset)
    write_card(Store(str(dataset)), Card(pictures=2))
    again = push(force=True)
    assert again.deleted == tuple(f"samples/{number}.jpg" for number in range(3, 7))
    assert set(again.uploaded) == {"README.md"}


@pytest.mark.parametrize("path", ["README.md", "croissant.json"])
def test_a_card_of_another_state_is_not_pushed(path: str, dataset: Path, hub: Hub, push: Push) -> None:
    (dataset / "README.md").unlink()
    write_card(Store(str(dataset)))
    sums = hashlib.sha256((dataset / "SHA256SUMS").read_bytes()).hexdigest()[:16]
    (dataset / path).write_text((dataset / path).read_text().replace(sums, "0" * 16))
    with pytest.raises(UserError, match=f"{path} tells of another state.*`pipeline card`"):
        push()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("licence", "word"),
    [
        ("license: cc-by-nd-4.0", "forbids"),
        ("license: [cc-by-4.0, cc-by-nc-nd-3.0]", "forbids"),
        ("license: other", "no known licence"),
        ("language: en", "no known licence"),
        ("license: [", "no known licence"),
        ("license: cc-by-sa-4.0", ""),
        ("license: bsd-3-clause-no-endorsement", ""),
    ],
)
def test_licences(licence: str, word: str, dataset: Path, hub: Hub, push: Push) -> None:
    (dataset / "README.md").write_text(f"---\n{licence}\n---\n# Scenes\n")
    told: list[str] = []
    if word == "forbids":
        with pytest.raises(UserError, match=r"licence cc-by-.*forbids sharing.*--private.*--force"):
            push(dry_run=True)
        assert hub.requests == []
        push(dry_run=True, private=True)
        push(dry_run=True, force=True, say=told.append)
    else:
        push(dry_run=True, say=told.append)
    assert [word in line for line in told if line.startswith("warning")] == [True] * bool(word)


def test_no_card(dataset: Path, push: Push) -> None:
    (dataset / "README.md").unlink()
    told: list[str] = []
    push(dry_run=True, say=told.append)
    assert "has no card" in told[0]


@pytest.mark.parametrize("name", ["scenes", "a/b/c", "some one/x", "someone/", "https://x/y"])
def test_names_that_are_none(name: str, dataset: Path, hub: Hub) -> None:
    with pytest.raises(UserError, match="--repo user/name"):
        push_dataset(job_of(dataset), name)


def test_no_token(dataset: Path, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="no token.*hf auth login"):
        push()


# What goes wrong on the way

COMMIT, PUT, CREATE, BATCH = "POST .*/commit/", "PUT /storage/", "POST /api/repos/create", "objects/batch"


@pytest.mark.parametrize("request_", [CREATE, "/preupload/", BATCH, PUT, COMMIT, "/tag/", "/tree/"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the token"),
        (403, "may not write to someone/scenes"),
        (404, "does not find someone/scenes"),
    ],
)
def test_faults_that_stay(
    request_: str, status: int, words: str, hub: Hub, push: Push, waits: list[float]
) -> None:
    hub.fail(request_, status, times=99)
    with pytest.raises(UserError, match=words) as caught:
        push()
    assert waits == [] and "\n" not in str(caught.value) and TOKEN not in str(caught.value)


@pytest.mark.parametrize("request_", [CREATE, "/preupload/", BATCH, PUT, COMMIT, "/tree/"])
@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_faults_that_pass(
    request_: str, status: int, dataset: Path, hub: Hub, push: Push, waits: list[float]
) -> None:
    hub.fail(request_, status, times=2, headers={"Retry-After": "30"} if status == 429 else {})
    pushed = push()
    assert on_hub(hub) == on_disk(dataset) and pushed.tag in hub.repos[REPO].refs
    assert len(waits) >= 2 and len(hub.uploads) == len(set(hub.uploads))
    assert status != 429 or min(waits) >= 30


@pytest.mark.parametrize("status", [409, 412])
def test_somebody_else_pushes_at_the_same_time(
    status: int, dataset: Path, hub: Hub, push: Push, waits: list[float]
) -> None:
    hub.fail(COMMIT, status)
    push()
    assert on_hub(hub) == on_disk(dataset)
    (dataset / "README.md").write_text(CARD + "again")
    hub.fail(COMMIT, status, times=99)
    with pytest.raises(UserError, match="somebody else is writing"):
        push()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "cannot be reached"), (429, "too many requests"), (500, "problem of its own, 500")],
)
def test_faults_that_do_not_pass(status: int, words: str, hub: Hub, push: Push, waits: list[float]) -> None:
    hub.fail(".", status, times=999)
    with pytest.raises(UserError, match=words):
        push()
    assert len(waits) >= 4


def test_a_commit_whose_answer_is_lost_is_not_made_twice(
    dataset: Path, hub: Hub, push: Push, waits: list[float]
) -> None:
    hub.fail(COMMIT, 0, after=True)
    pushed = push()
    assert on_hub(hub) == on_disk(dataset) and len(hub.repos[REPO].commits) == 2
    assert set(pushed.uploaded) == set(on_disk(dataset))


def test_a_bad_request_is_told(hub: Hub, push: Push, waits: list[float]) -> None:
    hub.fail(COMMIT, 400)
    with pytest.raises(UserError, match="refuses what is pushed, 400"):
        push()


@pytest.mark.parametrize(
    ("status", "words"), [(None, "no Xet storage; set HF_HUB_DISABLE_XET=1"), (403, "may not write")]
)
def test_a_hub_without_xet(
    status: int | None, words: str, hub: Hub, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    if status:
        hub.fail("xet-write-token", status, times=99)
    with pytest.raises(UserError, match=words):
        push()


def test_large_files_go_in_parts(dataset: Path, hub: Hub, push: Push, waits: list[float]) -> None:
    hub.part_size = 20_000
    hub.fail(r"PUT /storage/\w+/2", 500)
    hub.fail("POST /storage/.*/all", 0, after=True)
    push()
    assert on_hub(hub) == on_disk(dataset) and hub.parts == {}
    in_parts = {request.split("/")[2] for request in hub.requests if request.endswith("/all")}
    large = {digest for digest, data in hub.storage.items() if len(data) > hub.part_size}
    assert in_parts == large != set()
    assert len(hub.uploads) == len(set(hub.uploads))


@pytest.mark.parametrize("part_size", [10**9, 20_000])
@pytest.mark.parametrize("seed", range(20))
def test_pushes_cut_at_any_moment_end_complete_with_nothing_sent_twice(
    seed: int,
    part_size: int,
    dataset: Path,
    hub: Hub,
    push: Push,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.part_size = part_size
    monkeypatch.setattr("gritmill.pipeline.push.upload.COMMIT_FILES", 4)
    monkeypatch.setattr("gritmill.pipeline.push.files.BATCH_FILES", 2)
    moment = random.Random(seed)
    cuts = 0
    for _ in range(3):
        hub.faults = []
        hub.fail(".", 0, times=1, after=moment.random() < 0.5, skip=moment.randrange(20))
        hub.fail(".", 0, times=10**6, skip=10**6)
        cut = hub.faults[0]
        hub.faults[1].skip = cut.skip  # and from then on the line is dead
        try:
            push()
        except UserError as error:
            assert "push again" in str(error)
            cuts += 1
    hub.faults = []
    push()
    assert on_hub(hub) == on_disk(dataset)
    assert len(hub.uploads) == len(set(hub.uploads)) > 2 and cuts


# The token


def test_the_token_is_nowhere_to_be_seen(
    dataset: Path,
    hub: Hub,
    push: Push,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("huggingface_hub").setLevel(logging.DEBUG)
    hub.fail(CREATE, 500)
    hub.fail(PUT, 429)
    hub.fail("/tag/", 403)
    with pytest.raises(UserError) as caught:
        push(say=print)
    push(say=print)
    out, err = capfd.readouterr()
    text = "".join([out, err, caplog.text, str(caught.value), json.dumps(hub.requests)])
    assert "trying again" in text and "***" in text
    assert TOKEN not in text
    assert not any(TOKEN.encode() in data for data in on_hub(hub).values())


# Reading what was pushed

READ = """
import itertools, json, sys
import datasets
stream = datasets.load_dataset(sys.argv[1], split="train", streaming=True, revision=sys.argv[2])
rows = list(stream)
print(json.dumps([[row["__key__"], row["json"]["caption"], list(row["jpg"].size)] for row in rows]))
"""


def test_load_dataset_streams_what_was_pushed(dataset: Path, hub: Hub, push: Push, tmp_path: Path) -> None:
    pushed = push()
    done = subprocess.run(
        [sys.executable, "-c", READ, REPO, pushed.tag],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    stats = json.loads((dataset / "stats.json").read_text())
    assert len(rows) == stats["splits"]["train"]["samples"] > 10
    assert len({key for key, *_ in rows}) == len(rows) and all(caption for _, caption, _ in rows)


# Small parts


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("data/train-00000-of-00042.tar", True),
        ("parquet/validation-00001-of-00002.parquet", True),
        ("coco/test.json", True),
        ("data/train-00000-of-00042.parquet", False),
        ("data/dev-00000-of-00042.tar", False),
        ("data/train-0-of-1.tar", False),
        ("more/data/train-00000-of-00042.tar", False),
        ("coco/test.json.bak", False),
        ("samples/3.jpg", True),
        ("samples/mine.jpg", False),
    ],
)
def test_what_we_number(path: str, ours: bool) -> None:
    assert is_ours(path) is ours


def test_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gritmill.pipeline.push.files.BATCH_FILES", 3)
    monkeypatch.setattr("gritmill.pipeline.push.files.BATCH_BYTES", 10)
    files = [LocalFile(str(i), size) for i, size in enumerate([4, 4, 4, 99, 1, 1, 1, 1])]
    assert [[f.size for f in batch] for batch in batches(files)] == [[4, 4], [4], [99], [1, 1, 1], [1]]


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("---\nlicense: mit\n---\n", ["mit"]),
        ("---\nlicense:\n- mit\n- other\n---", ["mit", "other"]),
        ("# no front matter\nlicense: mit\n", []),
        ("---\n- mit\n---\n", []),
        ("", []),
    ],
)
def test_licences_in_a_card(card: str, found: list[str]) -> None:
    assert licences_in(card) == found

"""Looking at a dataset, which may be somebody else's, neither sends, opens nor runs what its recipe says."""

import json
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from gritmill.pipeline.engine.last_run import RECORDED_STEPS, last_run
from gritmill.pipeline.engine.progress import Progress
from gritmill.pipeline.engine.recipes import WORK_MARK, find_run_files, load_recipe
from gritmill.pipeline.engine.run import run
from gritmill.pipeline.engine.runners.local import LocalRunner
from gritmill.pipeline.inspect.status import status
from gritmill.pipeline.storage.checksums import SUMS
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.view import Server, Viewer, open_side
from gritmill.schemas.errors import UserError

pytestmark = pytest.mark.timeout(120)

KEY = "scene-00000001_0"
VALUE = "sk-not-a-real-key-0001"


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}", asked
        http.shutdown()


@pytest.fixture
def hostile(
    tmp_path: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], Path]:
    """A finished run whose recipes, beside the dataset and in the work folder, were replaced."""
    root, _ = server
    monkeypatch.setenv("OPENAI_API_KEY", VALUE)
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "stages_of_others.py").write_text(
        f"open({str(tmp_path / 'imported')!r}, 'w')\nraise SystemExit('imported')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "trap"))

    def make(with_work: bool) -> Path:
        recipe = tmp_path / "own.yaml"
        data = {
            "name": "case",
            "source": {"type": "scenes", "count": 6, "part_size": 3, "size": 80},
            "stages": [{"image_check": {"min_side": 64}}, {"caption_check": {"min_words": 5}}],
            "output": {"dir": str(tmp_path / "ds")},
        }
        recipe.write_text(yaml.safe_dump(data))
        job = load_recipe(str(recipe))
        run(job, Store(f"{tmp_path}/ds.work"), LocalRunner(), Progress())
        address = f"{root}/${{OPENAI_API_KEY}}"
        data |= {
            "source": {"type": "webdataset", "shards": f"{address}/x.tar"},
            "stages": [
                {"image_check": {"min_side": 64}},
                {"caption_check": {"min_words": 5}},
                {"stages_of_others:Stage": {"as": "theirs"}},
                {"verify_boxes": {"agreement": {"stages_of_others:Grounder": {}}}},
                {"generate": {"prompts": "llava", "backend": "openai", "model": "m", "base_url": address}},
                {"ground": {"grounder": "transformers", "model": address}},
            ],
            "output": {"dir": f"{address}/out"},
            "train": {"model": address},
            "eval": {"data": address},
        }
        (tmp_path / "ds" / "recipe.yaml").write_text(yaml.safe_dump(data))
        if with_work:
            (tmp_path / "ds.work" / "recipe.yaml").write_text(WORK_MARK + yaml.safe_dump(data))
        else:
            shutil.rmtree(tmp_path / "ds.work")
        return tmp_path / "ds"

    return make


COMMANDS = [
    *(["report", "ds"], ["card", "ds"], ["stats", "ds"], ["compare", "ds", "ds"], ["verify", "ds"]),
    *(["why", KEY, "ds"], ["status", "ds"], ["plan", "ds"], ["concepts", "ds"], ["retry", "ds"]),
    *(["push", "ds", "--dry-run", "--repo", "a/b"], ["run", "ds"], ["compare-grounders", "ds"]),
    *(["report", "ds.work"], ["why", KEY, "ds.work"], ["status", "ds.work"], ["plan", "ds.work"]),
]


@pytest.mark.parametrize("with_work", [True, False])
def test_no_command_asks_the_network_or_imports_anything(
    with_work: bool,
    hostile: Callable[[bool], Path],
    server: tuple[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from gritmill.pipeline import cli

    hostile(with_work)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", server[0])
    done: dict[str, Any] = {}
    for arguments in COMMANDS:
        monkeypatch.setattr("sys.argv", ["pipeline", *arguments])
        try:
            cli.main()
            done[" ".join(arguments)] = 0
        except SystemExit as stop:
            done[" ".join(arguments)] = stop.code or 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err and VALUE not in said.out + said.err, arguments
        assert not server[1] or arguments[0] == "push", arguments  # which asks the hub, here
        assert not any(VALUE in path for path in server[1]), arguments
        server[1].clear()
        assert not (tmp_path / "imported").exists(), arguments
    assert 1 not in done.values()
    looked = ("report ds", "card ds", "stats ds", "compare ds ds", "verify ds")
    assert [done[name] for name in looked] == [0] * len(looked)
    of_work = (f"why {KEY} ds", "status ds", "plan ds", "report ds.work", f"why {KEY} ds.work", "retry ds")
    assert [done[name] for name in of_work] == [0 if with_work else 2] * len(of_work)
    assert done["run ds"] == done["compare-grounders ds"] == 2
    # A work folder whose recipe says that the dataset lies at an address has the one beside it.
    assert (tmp_path / "ds" / "report.html").exists() and not list(tmp_path.glob("http*"))


@pytest.mark.parametrize("with_work", [True, False])
def test_the_browser_asks_nothing_but_what_it_is_shown(
    with_work: bool, hostile: Callable[[bool], Path], server: tuple[str, list[str]]
) -> None:
    view = Viewer([open_side(str(hostile(with_work)))])
    with Server(view, "127.0.0.1", 0) as shown:
        threading.Thread(target=shown.serve_forever, args=(0.02,), daemon=True).start()
        pages = ["about", "page", *(["page?list=dropped"] if with_work else [])]
        texts = [urllib.request.urlopen(f"{shown.url}{page}", timeout=20).read() for page in pages]
        shown.shutdown()
    assert b"scene-" in texts[1]
    if with_work:
        assert b"too_few_words" in texts[2]
    assert server[1] == []


def test_a_run_of_it_does_send_the_value(
    hostile: Callable[[bool], Path], server: tuple[str, list[str]]
) -> None:
    """Without which the tests above would show nothing."""
    with pytest.raises(SystemExit, match="imported"):
        load_recipe(str(hostile(True) / "recipe.yaml"))
    assert any(VALUE in path for path in server[1])


def test_training_takes_the_folder_that_was_named(hostile: Callable[[bool], Path]) -> None:
    dataset = hostile(False)
    files = find_run_files(str(dataset))
    assert files.output.dir == str(dataset) and files.train is not None
    assert "${OPENAI_API_KEY}" in files.train.model


@pytest.fixture
def finished(write_recipe: Callable[..., Path]) -> Path:
    recipe = write_recipe("type: scenes, count: 6, part_size: 3", ["image_check"])
    run(load_recipe(str(recipe)), Store(f"{recipe.parent}/out.work"), LocalRunner(), Progress())
    return recipe.parent


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../victim"),
        ("name", "/victim"),
        ("fingerprint", "../../victim"),
        ("fingerprint", ""),
        ("kind", "none"),
        ("columns", {"key": 3}),
    ],
)
def test_steps_lead_nowhere_out_of_the_work_folder(field: str, value: object, finished: Path) -> None:
    work = finished / "out.work"
    said = json.loads((work / RECORDED_STEPS).read_text())
    said["steps"][1][field] = value
    (work / RECORDED_STEPS).write_text(json.dumps(said))
    with pytest.raises(UserError, match="is damaged, or was made by another version of gritmill"):
        last_run(Store(str(work)))


@pytest.mark.parametrize("parts", ["../parts-0.arrow", "parts-0.arrow", "/etc/passwd"])
def test_nor_does_the_list_of_parts(parts: str, finished: Path) -> None:
    path = finished / "out.work" / RECORDED_STEPS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parts": parts}))
    with pytest.raises(UserError, match="is damaged"):
        last_run(Store(str(path.parent)))


@pytest.mark.parametrize("recipe", ["[]", "a: [", "stages: 3", ""])
def test_a_damaged_recipe_is_told(recipe: str, finished: Path) -> None:
    (finished / "out.work" / "recipe.yaml").write_text(WORK_MARK + recipe)
    with pytest.raises(UserError, match=r"out\.work is damaged|recipe\.yaml, line 2: this is not YAML"):
        last_run(Store(str(finished / "out.work")))


def test_a_run_is_the_same_from_any_folder_and_when_it_was_moved(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    monkeypatch.chdir(moved)
    before = status(last_run(Store(str(finished / "out.work"))), Store(str(finished / "out.work")))
    for name in ("out", "out.work"):
        shutil.move(finished / name, moved / name)
    for name in ("out", "out/", "out.work", str(moved / "out")):
        files = find_run_files(name)
        assert Path(files.output.dir, SUMS).exists()
    assert status(last_run(Store("out.work")), Store("out.work")) == before


@pytest.mark.parametrize("said", ["s3://bucket/out", "http://host/out", "elsewhere", "../victim"])
def test_a_work_folder_does_not_lead_to_what_is_not_the_same_run(
    said: str, finished: Path, tmp_path: Path
) -> None:
    work = tmp_path / "odd"
    shutil.move(finished / "out.work", work)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "recipe.yaml").write_text("name: other\n")
    path = work / "recipe.yaml"
    path.write_text(path.read_text().replace(f"dir: {finished}/out", f"dir: {said}"))
    assert find_run_files(str(work)).output.dir == str(work)

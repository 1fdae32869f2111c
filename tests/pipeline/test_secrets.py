"""A secret of a recipe is in nothing that a run leaves or says, and a resumed run still is the same run."""

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from source_files import jpeg

from gritmill.pipeline.engine.last_run import last_run
from gritmill.pipeline.storage.store import Store
from gritmill.schemas import public

pytestmark = pytest.mark.timeout(120)

VALUE = "t0ken/not-real+42"
STAGES = [
    {"image_check": {"min_side": 8}},
    "odd_stages:QuotesItsAddress",
    {"caption_check": {"min_words": 3}},
]


def _tar(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for i, caption in enumerate(("A dog in a field.", "A dog", "Two dogs in a field.")):
            for name, data in ((f"{i}.jpg", jpeg(i, (16, 16))), (f"{i}.txt", caption.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Path]:
    monkeypatch.chdir(tmp_path)

    def write(source: dict[str, Any]) -> Path:
        data: dict[str, Any] = {"name": "case", "source": source, "stages": STAGES, "output": {"dir": "out"}}
        data["max_failed_fraction"] = 0.9
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(data))
        return path

    return write


def records(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("data/*.tar")):
        with tarfile.open(path) as tar:
            found += [json.load(tar.extractfile(m) or io.BytesIO()) for m in tar if m.name.endswith(".json")]
    return found


def holding(folder: Path, *secrets: str) -> list[str]:
    """The files of a folder in which a secret stands; parquet, which is compressed, is looked into."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += str(pq.read_table(path).to_pylist()).encode()
            if any(secret.encode() in content for secret in secrets):
                found.append(path.relative_to(folder).as_posix())
    return found


@pytest.mark.parametrize("runner", ["local", "ray"])
def test_the_value_of_a_variable_stays_at_home(
    runner: str, recipe: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    _tar(tmp_path / f"in-{VALUE}" / "a.tar")
    path = recipe({"type": "webdataset", "shards": "in-${TOKEN}/*.tar", "prefix_keys": True})
    formats = ["--set", "output.formats=[webdataset, parquet, coco]", "--runner", runner]
    done = cli("run", path, *formats, cwd=tmp_path, TOKEN=VALUE)
    assert done.returncode == 0, done.stderr
    assert {r["source"]["uri"] for r in records(tmp_path / "out")} == {"in-${TOKEN}/a.tar"}
    for name in ("out", "out.work"):
        kept = yaml.safe_load((tmp_path / name / "recipe.yaml").read_text())
        assert kept["source"]["shards"] == "in-${TOKEN}/*.tar"
        assert len(kept["output"]["formats"]) == 3
    assert (tmp_path / "out.work").stat().st_mode & 0o077 == 0
    for command in (["card", "out"], ["report", "out"], ["why", "a_0", "out"], ["status", "out"]):
        # Who looks later need not have the variable.
        done = cli(*command, cwd=tmp_path)
        assert done.returncode == 0 and VALUE not in done.stdout + done.stderr
    assert holding(tmp_path / "out", VALUE) == []
    assert "in-${TOKEN}/a.tar" in cli("why", "a_0", "out", cwd=tmp_path).stdout

    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")}
    done = cli("run", path, *formats, cwd=tmp_path, TOKEN=VALUE)
    assert done.returncode == 0 and {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")} == before
    done = cli("run", "out.work/recipe.yaml", "--runner", runner, cwd=tmp_path, TOKEN=VALUE)
    assert done.returncode == 0 and {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")} == before


def test_reasons_of_rejects_and_failures_hold_none(
    recipe: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    _tar(tmp_path / f"in-{VALUE}" / "a.tar")
    path = recipe({"type": "webdataset", "shards": "in-${TOKEN}/*.tar"})
    done = cli("run", path, "--runner", "local", cwd=tmp_path, TOKEN=VALUE)
    assert done.returncode == 0, done.stderr
    [step] = [step for step in last_run(Store("out.work")).steps if "QuotesItsAddress" in step.name]
    assert holding(tmp_path / "out.work" / step.folder, VALUE, "PASSWORDpw9") == []
    said = cli("why", "2", "out", cwd=tmp_path).stdout
    assert "in-${TOKEN}/a.tar and https://***@host" in said
    done = cli("run", path, "--runner", "local", "--set", "max_failed_fraction=0", cwd=tmp_path, TOKEN=VALUE)
    assert done.returncode == 2 and VALUE not in done.stderr


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The folder of the test, where any password and query is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = tmp_path / self.path.partition("?")[0].strip("/")
            content = path.read_bytes() if path.is_file() else b""
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            whole = len(content)
            if wanted:
                content = content[int(wanted[1]) : int(wanted[2]) + 1]
            self.send_response(404 if not content else 206 if wanted else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content)))
            if wanted:
                self.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{whole}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_a_password_in_an_address_is_not_recorded(
    web: str, recipe: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    _tar(tmp_path / "in" / "a.tar")
    secrets = ("SIGNATUREsig9", "PASSWORDpw9")
    address = f"http://{web}/in/a.tar?X-Amz-Signature={secrets[0]}"
    path = recipe({"type": "webdataset", "shards": address})
    path.write_text(path.read_text() + f"card: {{source: 'https://ann:{secrets[1]}@host/'}}\n")
    done = cli("run", path, "--runner", "local", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert holding(tmp_path / "out", *secrets) == []
    assert {r["source"]["uri"] for r in records(tmp_path / "out")} == {f"http://{web}/in/a.tar"}
    work = tmp_path / "out.work"
    assert holding(work, *secrets) and work.stat().st_mode & 0o077 == 0
    assert not any(secret in (work / "recipe.yaml").read_text() for secret in secrets)
    # What was recorded leads nowhere, and says so.
    done = cli("run", "out.work/recipe.yaml", "--runner", "local", cwd=tmp_path)
    assert done.returncode == 2
    assert "lacks a secret, which is not recorded; name your own recipe" in done.stderr
    assert cli("status", "out", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://ann:PASSWORDpw9@127.0.0.1:1/x.tar",
        "https://PASSWORDpw9@127.0.0.1:1/x.tar",
        "https://127.0.0.1:1/x.tar?X-Amz-Signature=PASSWORDpw9",
        "https://127.0.0.1:1/x.tar?PASSWORDpw9",
        "simplecache::https://ann:PASSWORDpw9@127.0.0.1:1/x.tar",
        "https://127.0.0.1:1/${TOKEN}/x.tar",
        "nowhere://${TOKEN}/x.tar",
        "${TOKEN}/x.tar",
        "{a: 'https://ann:PASSWORDpw9@host/'}",
    ],
)
@pytest.mark.parametrize("command", [["run"], ["plan"]])
def test_no_message_prints_it(
    address: str,
    command: list[str],
    recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from gritmill.pipeline import cli

    monkeypatch.setenv("TOKEN", VALUE)
    path = recipe({"type": "webdataset", "shards": "x.tar"})
    monkeypatch.setattr("sys.argv", ["pipeline", *command, str(path), "--set", f"source.shards={address}"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = "".join(capsys.readouterr())
    assert said and "PASSWORD" not in said
    assert VALUE not in said and VALUE.replace("/", "%2F") not in said


def test_without_a_secret_nothing_is_closed_or_changed(
    recipe: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    _tar(tmp_path / "in" / "a.tar")
    path = recipe({"type": "webdataset", "shards": "in/*.tar"})
    done = cli("run", path, "--runner", "local", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out.work").stat().st_mode & 0o055
    assert {r["source"]["uri"] for r in records(tmp_path / "out")} == {"in/a.tar"}
    assert public.hidden() == {}

"""The command line: what it says, its exit status, and that Ctrl-C loses nothing."""

import hashlib
import importlib.machinery
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from gritmill.pipeline import cli as command_line
from gritmill.pipeline.engine import terminal

pytestmark = pytest.mark.timeout(120)

Write = Callable[..., Path]
COMMANDS = [
    *("run", "plan", "status", "why", "stages", "verify", "doctor", "view", "report", "convert"),
    *("train", "eval", "compare", "compare-grounders", "retry", "stats", "card", "push", "dialects"),
    *("fingerprint-set", "concepts", "clean"),
]


class Said(NamedTuple):
    status: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process, through the same door as from a shell."""

    def call(*arguments: object) -> Said:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(terminal.console, "width", 120)
        monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
        capsys.readouterr()
        status: Any = 0
        try:
            command_line.main()
        except SystemExit as stop:
            status = stop.code or 0
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return call


@pytest.fixture
def small(write_recipe: Write) -> Path:
    """A recipe of a moment."""
    stages = ["image_check", "caption_check: {min_words: 5}"]
    return write_recipe("type: scenes, count: 8, part_size: 3", stages, output="shard_size: 30KB")


def words(text: str) -> str:
    """Text without frames and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def sums(folder: Path) -> dict[str, str]:
    """Digests of what a run wrote; the recipe apart, which names the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "recipe.yaml"
    }


# What it says


def test_every_command_is_in_the_list_of_these_tests() -> None:
    import typer

    group: Any = typer.main.get_command(command_line.app)
    assert sorted(group.commands) == sorted(COMMANDS)


def test_help_names_every_command_with_its_purpose(pipeline: Call) -> None:
    said = pipeline("--help")
    assert said.status == 0
    assert "pipeline run quickstart" in said.out
    for command in COMMANDS:
        assert re.search(rf"{command} +[A-Z].*\.", said.out), command
    assert "--install-completion" not in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_and_option_has_a_help(command: str, pipeline: Call) -> None:
    import typer

    said = pipeline(command, "--help")
    assert said.status == 0
    group: Any = typer.main.get_command(command_line.app)
    parameters = group.commands[command].params
    assert parameters or command in ("doctor", "dialects")
    for parameter in parameters:
        assert parameter.help, (command, parameter.name)
        # As a user reads it: nothing of it is cut off or eaten as markup.
        assert words(parameter.help).replace("`", "") in words(said.out), parameter.name
    assert words(group.commands[command].help).replace("`", "") in words(said.out)


def test_without_a_command_it_shows_its_help(pipeline: Call) -> None:
    said = pipeline()
    assert "Commands" in said.out + said.err
    assert said.status == 2


def test_a_run_and_what_one_wants_to_know_around_it(pipeline: Call, small: Path, tmp_path: Path) -> None:
    said = pipeline("plan", small)
    assert said.status == 0 and f"test: 3 parts, work in {tmp_path}/out.work" in said.out
    assert re.search(r"image_check +[0-9a-f]{8} +0 +3 +1 +0", said.out)
    assert "after sharding" in said.out
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.work").exists()

    said = pipeline("run", small, "--runner", "local")
    assert said.status == 0, said.err
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    made = stats["splits"]["train"]
    assert f"{made['samples']} samples in {made['shards']} shards: {tmp_path}/out\n" in said.out
    assert f"report: {tmp_path}/out/report.md\n" in said.out
    assert (tmp_path / "out" / "report.md").is_file()
    dropped = 16 - made["samples"]
    assert dropped and re.search(rf"caption_check +16 +{made['samples']} +{dropped} +too_few_words", said.out)
    [hint] = re.findall(r"pipeline (why KEY .*)", said.out)

    said = pipeline("plan", small)
    assert re.search(r"image_check +[0-9a-f]{8} +3 +0 ", said.out)
    assert "after sharding" not in said.out

    said = pipeline("status", small)
    assert said.status == 0
    assert re.search(r"caption_check +3 of 3 done", said.out)
    assert f"too_few_words {dropped}" in said.out

    by_recipe = pipeline("why", "scene-00000001_0", small)
    assert by_recipe.status == 0 and "scene-00000001_0" in by_recipe.out
    assert re.search(r"image_check +kept", by_recipe.out)
    by_work = pipeline(*hint.replace("KEY", "scene-00000001_0").split())
    by_output = pipeline("why", "scene-00000001_0", tmp_path / "out")
    assert by_recipe == by_work == by_output
    assert pipeline("why", "scene-00000001", small).out.count("source ") == 2

    said = pipeline("verify", tmp_path / "out")
    assert said.status == 0 and f"{made['samples']} samples" in said.out and "0 errors" in said.out
    said = pipeline("stats", tmp_path / "out")
    assert said.status == 0 and re.search(r"images +\d", said.out) and "RefCOCO" in said.out
    assert json.loads(pipeline("stats", tmp_path / "out", "--json").out)
    said = pipeline("card", small)
    assert said.status == 0, said.err
    assert (tmp_path / "out" / "README.md").read_text().startswith("---\n")
    shard = next((tmp_path / "out" / "data").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-9000])
    assert pipeline("verify", tmp_path / "out").status == 1


def test_a_dropped_sample_s_story_has_the_value_and_the_threshold(pipeline: Call, small: Path) -> None:
    assert (
        pipeline("run", small, "--runner", "local", "--set", "stages.caption_check.min_words=9").status == 0
    )
    said = pipeline("why", "scene-00000000", small, "--set", "stages.caption_check.min_words=9")
    assert re.search(r"caption_check +rejected: too_few_words, \w+ \d, threshold 9", said.out)


def test_the_hint_leads_to_a_work_folder_elsewhere(pipeline: Call, small: Path, tmp_path: Path) -> None:
    said = pipeline("run", small, "--runner", "local", "--work", tmp_path / "elsewhere")
    [hint] = re.findall(r"pipeline (why KEY .*)", said.out)
    assert hint == f"why KEY {tmp_path}/elsewhere"
    said = pipeline("why", "scene-00000001_0", tmp_path / "elsewhere")
    assert said.status == 0 and re.search(r"image_check +kept", said.out)
    refused = pipeline("run", tmp_path / "elsewhere", "--runner", "local")
    assert refused.status == 2 and f"if you trust it, {tmp_path}/elsewhere/recipe.yaml" in refused.err
    assert pipeline("run", tmp_path / "elsewhere" / "recipe.yaml", "--runner", "local").status == 0
    assert not (tmp_path / "out.work").exists()


def test_paths_are_printed_whole(pipeline: Call, write_recipe: Write, tmp_path: Path) -> None:
    folder = "a[bold]b[1]/" + "long" * 40
    recipe = write_recipe("type: scenes, count: 2", ["image_check"])
    out = f"--set=output.dir={json.dumps(str(tmp_path / folder))}"
    for said in (pipeline("run", recipe, out, "--runner", "local"), pipeline("plan", recipe, out)):
        assert said.status == 0, said.err
        assert str(tmp_path / folder) in said.out


def test_captions_cannot_speak_to_the_terminal(pipeline: Call, write_recipe: Write, tmp_path: Path) -> None:
    from source_files import jpeg, write

    caption = "a \x1b[31mred\x1b[0m [bold]dog[/] \x07 \u2028 in 👩🏽‍🚀 e\u0301"
    write(tmp_path / "photos" / "a.jpg", jpeg(1, (16, 16)))
    write(tmp_path / "photos" / "a.txt", caption)
    recipe = write_recipe(f"type: folder, path: {tmp_path}/photos", ["image_check: {min_side: 8}"])
    assert pipeline("run", recipe, "--runner", "local").status == 0
    said = pipeline("why", "a", recipe)
    assert "\x1b" not in said.out and "\x07" not in said.out
    assert "[bold]dog[/] \\x07 \\u2028 in 👩🏽‍🚀 e\u0301" in said.out


def test_stages_lists_all_with_their_options_or_one(pipeline: Call) -> None:
    from gritmill.pipeline.sources.registry import SOURCES
    from gritmill.stages.registry import all_stages

    said = pipeline("stages")
    assert said.status == 0
    for name in [*all_stages(), *SOURCES]:
        assert re.search(rf"^{re.escape(name)}  \S", said.out, re.MULTILINE), name
    assert re.search(r"min_side +64 +Fewest pixels", said.out)
    one = pipeline("stages", "ground")
    assert one.status == 0
    assert "ground (annotations)" in one.out and "ground (transformers)" in one.out
    assert "image_check" not in one.out
    assert pipeline("stages", "coco").out.startswith("coco  ")


def test_the_doctor_looks_at_this_machine(pipeline: Call) -> None:
    said = pipeline("doctor")
    assert said.status == 0
    assert re.search(r"^ok +python +3\.", said.out, re.MULTILINE)
    assert re.search(r"^ok +spacy +3\.", said.out, re.MULTILINE)


# The user's mistakes and ours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "nowhere"],
            "there is no recipe nowhere; give a path, the folder of a run, or one of ours: ",
        ),
        (["plan", "nowhere"], "there is no recipe nowhere"),
        (["status", "nowhere"], "there is no recipe nowhere"),
        (["why", "key", "nowhere"], "there is no recipe nowhere"),
        (["run"], "Missing argument 'recipe'"),
        (["why", "key"], "Missing argument 'recipe'"),
        (["bake", "SMALL"], "No such command 'bake'"),
        (["run", "SMALL", "--runner", "slurm"], "'slurm' is not one of 'ray', 'local'"),
        (["run", "SMALL", "--limit", "0"], "greater than or equal to 1"),
        (["run", "SMALL", "--limit", "some"], "Invalid value for '--limit'"),
        (["run", "SMALL", "--sett", "a=b"], "No such option"),
        (["run", "SMALL", "--set", "source.count"], "write it as --set source.images=DIR"),
        (
            ["run", "SMALL", "--set", "source.count=none"],
            "--set source: count: Input should be a valid integer",
        ),
        (["run", "SMALL", "--set", "source.when=2024-13-01"], "the value is not YAML"),
        (["run", "SMALL", "--set", "stages.image_check.min_sid=3"], "did you mean 'min_side'?"),
        (["run", "SMALL", "--set", "stages.ground.score_threshold=3"], "the recipe has no stage 'ground'"),
        (["plan", "SMALL", "--set", "source.count=0"], "greater than or equal to 1"),
        (["why", "nobody", "SMALL"], "holds no run; `pipeline run RECIPE` makes one"),
        (["stages", "nope"], "there is no stage or source 'nope'"),
        (["verify", "nowhere"], "nowhere has no shards"),
        (["run", "SMALL", "--runner", "local", "--work", "SMALL/work"], "Choose another with --work"),
    ],
)
def test_a_user_s_mistake_is_one_message_and_status_2(
    arguments: list[str], message: str, pipeline: Call, small: Path
) -> None:
    said = pipeline(*(argument.replace("SMALL", str(small)) for argument in arguments))
    assert said.status == 2
    assert message in words(said.err)
    assert said.err.count("rror:") + said.err.count("─ Error ") == 1
    assert "Traceback" not in said.err
    assert said.out == ""


def test_our_own_mistake_is_a_traceback_and_status_1(cli: Callable[..., Any], write_recipe: Write) -> None:
    recipe = write_recipe("type: scenes, count: 4", ["image_check", "odd_stages:BreaksContract: {}"])
    done = cli("run", recipe, "--runner", "local")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ContractError: the stage was given 8 rows and returned 1 of words" in done.stderr


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """(import name) -> it is not installed any more."""

    def call(hidden: str) -> None:
        real = importlib.machinery.PathFinder.find_spec

        def find_spec(cls: Any, name: str, path: Any = None, target: Any = None) -> Any:
            return None if name == hidden else real(name, path, target)

        monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", classmethod(find_spec))
        monkeypatch.delitem(sys.modules, hidden, raising=False)

    return call


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("ray", ["run", "SMALL"], "ray is not installed: pip install 'gritmill[ray]', or use --runner local"),
        ("spacy", ["run", "quickstart"], "noun_chunks needs spacy: pip install 'gritmill[nlp]'"),
        ("spacy", ["plan", "quickstart"], "noun_chunks needs spacy: pip install 'gritmill[nlp]'"),
    ],
)
def test_a_part_that_is_not_installed_comes_with_its_command(
    package: str, arguments: list[str], message: str, pipeline: Call, small: Path, hide: Callable[[str], None]
) -> None:
    hide(package)
    said = pipeline(*(argument.replace("SMALL", str(small)) for argument in arguments))
    assert said.status == 2
    assert message in words(said.err)
    assert "Traceback" not in said.err


def test_what_is_not_needed_need_not_be_there(
    pipeline: Call, small: Path, hide: Callable[[str], None]
) -> None:
    for package in ("ray", "spacy", "torch", "transformers", "huggingface_hub", "s3fs", "datasets"):
        hide(package)
    assert pipeline("run", small, "--runner", "local").status == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['pipeline', '--help']\n"
        "from gritmill.pipeline.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'spacy', 'ray', 'transformers', 'pyarrow', 'pydantic.main', 'PIL', 'fsspec')\n"
        "print('imported:', [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


# Ctrl-C, and two at a time


SLOW = ["image_check", "odd_stages:Slow: {seconds: 0.2, as: slow}"]


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `pipeline` as a shell does, in a process group of its own."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gritmill.pipeline.cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def wait_for(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not what():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


@pytest.mark.parametrize("runner", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    runner: str, write_recipe: Write, pipeline: Call, started: Callable[..., Any], tmp_path: Path
) -> None:
    source = "type: scenes, count: 40, part_size: 5"
    calm = write_recipe(source, SLOW, folder="calm")
    assert pipeline("run", calm, "--runner", "local", "--set", "stages.slow.seconds=0").status == 0
    recipe = write_recipe(source, SLOW)
    work = tmp_path / "out.work"

    process = started("run", recipe, "--runner", runner)
    wait_for(lambda: list(work.glob("slow-*/*.parquet")), process)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"Stopped. What is finished is kept in {work}; the same command goes on from there." in said
    assert "Traceback" not in said
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert (len(family) > 3) == (runner == "ray")

    # Without the temporary files of what was interrupted, whose names begin with a dot.
    finished = {path: path.stat().st_ino for path in work.glob("*-*/[!.]*.parquet")}
    assert finished and not (tmp_path / "out" / "SHA256SUMS").exists()
    again = started("run", recipe, "--runner", runner)
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert sums(tmp_path / "out") == sums(tmp_path / "calm")
    assert {path: path.stat().st_ino for path in finished} == finished


def test_the_second_run_on_a_work_directory_names_the_first(
    write_recipe: Write, pipeline: Call, started: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = write_recipe("type: scenes, count: 200, part_size: 2", SLOW)
    process = started("run", recipe, "--runner", "local")
    wait_for(lambda: list((tmp_path / "out.work").glob("slow-*/*.parquet")), process)
    said = pipeline("run", recipe, "--runner", "local")
    assert said.status == 2
    assert f"another run (process {process.pid} on " in said.err and "--work" in said.err
    assert "Traceback" not in said.err
    # To look is allowed meanwhile.
    assert pipeline("status", recipe).status == 0
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)

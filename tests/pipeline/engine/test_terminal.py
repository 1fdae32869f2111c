"""Foreign text does not steer a terminal, whichever way it is printed."""

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from gritmill.pipeline.engine import terminal
from gritmill.schemas.public import hide_variable

ROOT = Path(__file__).parents[3]
# A title, a colour, a bell, C1's own escape, text that runs backwards, half a character.
FOREIGN = "\x1b]0;title\x07\x1b[31m\x08\r\x7f\x9b31m\u202eabc\u2066\udcff"
SPELLED = r"\x1b]0;title\x07\x1b[31m\x08\x0d\x7f\x9b31m\u202eabc\u2066\udcff".replace(r"\x0d", r"\r")


@pytest.mark.parametrize(
    ("text", "printable", "one_line"),
    [
        (FOREIGN, SPELLED, SPELLED),
        ("two\n\tlines", "two\n\tlines", r"two\n\tlines"),
        ("\u2028", "\u2028", r"\u2028"),
        ("naïve 👩🏽‍🚀 e\u0301 \u00a0 עברית", *["naïve 👩🏽‍🚀 e\u0301 \u00a0 עברית"] * 2),
    ],
)
def test_control_characters_are_spelled_out(text: str, printable: str, one_line: str) -> None:
    assert terminal.printable(text) == printable
    assert terminal.one_line(text) == one_line


def echo(text: str) -> None:
    terminal.echo(text)


def table(text: str) -> None:
    made = Table(text)
    made.add_row(text)
    terminal.console.print(made, soft_wrap=True)


def warning(text: str) -> None:
    print(warnings.formatwarning(text, UserWarning, "file.py", 1, text))


def log(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "%s", (text,), (ValueError, error, None))
    print(terminal._LogText("%(message)s").format(record))


WAYS: dict[str, Callable[[str], Any]] = {
    "a line": echo,
    "an error": terminal.echo_error,
    "a traceback": lambda text: terminal.print_exception(ValueError(text)),
    "text for the console": lambda text: terminal.console.print(text, soft_wrap=True),
    "a table": table,
    "a warning": warning,
    "a log": log,
}


@pytest.mark.parametrize("way", WAYS)
def test_whichever_way_it_is_printed(
    way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.console, "width", 200)
    monkeypatch.setattr(warnings, "formatwarning", terminal._warning)
    WAYS[way](FOREIGN)
    said = "".join(capsys.readouterr())
    assert SPELLED in said
    assert not {c for c in said if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_prints_a_secret(
    way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.console, "width", 200)
    monkeypatch.setattr(warnings, "formatwarning", terminal._warning)
    hide_variable("TOKEN", "t0ken-not-real")
    WAYS[way]("zip://a::https://ann:PASSWORDpw9@host/t0ken-not-real?sig=SIGNATUREsig9 is gone")
    said = "".join(capsys.readouterr())
    assert "zip://a::https://***@host/${TOKEN}?sig=*** is gone" in said
    assert not any(secret in said for secret in ("PASSWORD", "t0ken", "SIGNATURE"))


def test_what_comes_as_richs_own_text_is_spelled_out_too() -> None:
    out = io.StringIO()
    terminal.Console(file=out).print(Text("a \x1b[31m red \x9b name"))
    assert out.getvalue() == "a \\x1b[31m red \\x9b name\n"


def test_colours_of_ours_still_work() -> None:
    out = io.StringIO()
    console = terminal.Console(file=out, force_terminal=True, color_system="standard")
    console.print(Text("\x1b[31m", style="green"))
    assert out.getvalue() == "\x1b[32m\\x1b[31m\x1b[0m\n"


def test_columns_are_as_wide_as_what_they_show() -> None:
    made = Table("a", "b", box=None, pad_edge=False)
    made.add_row("\x1b\x1b", "1")
    made.add_row("x", "2")
    out = io.StringIO()
    terminal.Console(file=out).print(made)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines == ["a         b", r"\x1b\x1b  1", "x         2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("r.yaml has 2 mistakes:\n  one\n  two", "error: r.yaml has 2 mistakes:\n  one\n  two\n"),
        ("no file a\nerror: b", "error: no file a\n  error: b\n"),
    ],
)
def test_no_line_of_an_error_passes_for_another(
    text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.echo_error(text)
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_json_stays_json(ensure_ascii: bool, capsys: pytest.CaptureFixture[str]) -> None:
    value = {FOREIGN: [FOREIGN, "\n\t é", 'https://h/?"', "https://h/?\\"]}
    terminal.echo_json(json.dumps(value, indent=1, ensure_ascii=ensure_ascii))
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert not {c for c in said if not c.isprintable()} - {"\n"}


def test_a_line_is_drawn_over_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.redraw("1 of 2", last=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    terminal.redraw("1 of \x1b", last=False)
    terminal.redraw("2 of 2", last=True)
    assert capsys.readouterr().err == "\r1 of \\x1b\r2 of 2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", FOREIGN[:-1]],
        ["why", FOREIGN[:-1], FOREIGN[:-1]],
        [FOREIGN[:-1]],
        ["doctor", FOREIGN[:-1]],
        ["verify", FOREIGN[:-1]],
        ["stages", FOREIGN[:-1], "x\x1b[31m"],
    ],
)
def test_a_command_repeats_no_control_character(arguments: list[str]) -> None:
    code = "from gritmill.pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=os.environ | {"COLUMNS": "200"})
    said = (done.stdout + done.stderr).decode()
    assert done.returncode in (1, 2)
    assert "title" in said or "x1b[31m" in said
    assert not {c for c in said if not c.isprintable()} - {"\n"}


def test_a_traceback_is_printed_and_spelled_out() -> None:
    code = (
        "import gritmill.pipeline.cli as cli\n"
        "@cli.app.command()\n"
        "def fail(): raise RuntimeError('\\x1b[31m')\n"
        "import sys; sys.argv = ['pipeline', 'fail']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("RuntimeError: \\x1b[31m\n")


@pytest.mark.parametrize(
    "line",
    [
        "import typer; typer.echo('')",
        "from typer import secho",
        "from rich.console import Console",
        "from rich import print",
        "import sys; sys.stdout.write('')",
        "print('')",
        "from PIL import Image as pil; pil.open('')",
        "from PIL.Image import open",
    ],
)
def test_the_linter_refuses_other_ways(line: str) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not here")
    command = [str(ruff), "check", "--select", "TID251,T20", "--stdin-filename", "pipeline/new.py", "-"]
    done = subprocess.run(command, cwd=ROOT, input=line, capture_output=True, text=True)
    assert done.returncode == 1 and ("TID251" in done.stdout or "T201" in done.stdout), done.stdout

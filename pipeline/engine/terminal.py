"""The one way to the terminal: control characters of foreign names, captions and replies are spelled out, and
secrets are left out.

A file called `\\x1b[31m` must not turn the terminal red, nor a key with a line end look like a line of ours.
Commands print by `echo` and `console`; the linter refuses any other way.
"""

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from typing import Any

import rich.console
import typer
from rich.segment import Segment
from rich.text import Text

from gritmill.schemas.public import without_secrets

# C0 and C1, what turns the direction of writing round, and halves of characters, which cannot be encoded.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_OF_TEXT = re.compile(f"[{_CONTROLS}]")
_OF_LINE = re.compile(f"[{_CONTROLS}\\t\\n\\u2028\\u2029]")


def printable(text: str) -> str:
    r"""Control characters spelled out, as `\x1b` and `\u202e`, and no secret; line ends and tabs stay."""
    return _OF_TEXT.sub(_spelled, without_secrets(text))


def one_line(text: str) -> str:
    r"""As `printable`, and line ends and tabs are `\n` and `\t`."""
    return _OF_LINE.sub(_spelled, without_secrets(text))


def echo(line: str = "", err: bool = False) -> None:
    """Prints one line."""
    typer.echo(one_line(line), err=err)


def echo_json(text: str) -> None:
    """Prints JSON. It stays JSON: control characters stand in nothing but its strings."""
    typer.echo(_OF_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", without_secrets(text)))


def echo_error(text: str) -> None:
    """Prints what is wrong; further lines are indented, so that none can pass for another message."""
    typer.echo("error: " + re.sub(r"\n(?! )", "\n  ", printable(text)), err=True)


def redraw(line: str, last: bool) -> None:
    """Prints over the line that stood there before, on a terminal only."""
    if sys.stderr.isatty():
        typer.echo(f"\r{one_line(line)}", err=True, nl=last)


class Console(rich.console.Console):
    """Rich's, with the control characters of all text spelled out; colours are none of the text."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Spelled out before it is laid out, so that columns are as wide as what they show."""
        return super().render_str(printable(text), **options)

    def render(
        self,
        renderable: rich.console.RenderableType,
        options: rich.console.ConsoleOptions | None = None,
    ) -> Iterable[Segment]:
        """Whatever the text came in."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


console = Console(highlight=False, markup=False)
"""For tables; lines of text are echoed, so that no path in them is wrapped or taken for markup."""


def guard() -> None:
    """Spells out what is printed by others: logs, warnings, and the usage errors of typer."""
    import typer.rich_utils

    handler = logging.StreamHandler()
    handler.setFormatter(_LogText("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    warnings.formatwarning = _warning
    typer.rich_utils.Console = Console  # type: ignore[attr-defined]


def print_exception(error: BaseException) -> None:
    """Prints the traceback of what nobody caught."""
    typer.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)


class _LogText(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


_formatwarning = warnings.formatwarning


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return printable(_formatwarning(message, category, filename, lineno, line))


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()

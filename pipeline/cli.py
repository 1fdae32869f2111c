"""The command line: `pipeline run recipes/grit.yaml` and what one wants to know around it."""

import sys
from typing import Annotated

import typer

from gritmill import version
from gritmill.pipeline.commands.card import card
from gritmill.pipeline.commands.clean import clean
from gritmill.pipeline.commands.compare import compare
from gritmill.pipeline.commands.compare_grounders import compare_grounders
from gritmill.pipeline.commands.concepts import concepts
from gritmill.pipeline.commands.convert import convert
from gritmill.pipeline.commands.dialects import dialects
from gritmill.pipeline.commands.doctor import doctor
from gritmill.pipeline.commands.evaluate import evaluate
from gritmill.pipeline.commands.fingerprint_set import fingerprint_set
from gritmill.pipeline.commands.plan import plan
from gritmill.pipeline.commands.push import push
from gritmill.pipeline.commands.report import report
from gritmill.pipeline.commands.retry import retry
from gritmill.pipeline.commands.run import run
from gritmill.pipeline.commands.stages import stages
from gritmill.pipeline.commands.stats import stats
from gritmill.pipeline.commands.status import status
from gritmill.pipeline.commands.train import train
from gritmill.pipeline.commands.verify import verify
from gritmill.pipeline.commands.view import view
from gritmill.pipeline.commands.why import why
from gritmill.pipeline.engine import terminal
from gritmill.schemas.errors import UserError


def _version(asked: bool) -> None:
    if asked:
        terminal.echo(f"gritmill {version.version()}")
        raise typer.Exit


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Say which version this is.")
    ] = False,
) -> None:
    """Images with captions in, grounded vision-language training data out.

    Start with `pipeline run quickstart`, then look into recipes/grit.yaml.
    """


app.command()(run)
app.command()(train)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(compare_grounders)
app.command()(plan)
app.command()(status)
app.command()(retry)
app.command()(clean)
app.command()(why)
app.command()(stages)
app.command()(verify)
app.command()(view)
app.command()(stats)
app.command()(concepts)
app.command()(report)
app.command()(card)
app.command()(push)
app.command()(convert)
app.command()(fingerprint_set)
app.command()(doctor)
app.command()(dialects)


def main() -> None:
    """Entry point: the user's mistakes are one sentence and status 2, ours a traceback."""
    terminal.guard()
    try:
        app()
    except UserError as error:
        terminal.echo_error(str(error))
        sys.exit(2)
    except Exception:
        # Not earlier, as typer puts a hook of its own there.
        sys.excepthook = lambda kind, error, trace: terminal.print_exception(error)
        raise


if __name__ == "__main__":
    main()

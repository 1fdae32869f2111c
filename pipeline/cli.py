"""The command line: `pipeline run recipes/grit.yaml` and what one wants to know around it."""

import sys

import typer

from pipeline import terminal
from pipeline.commands.card import card
from pipeline.commands.compare import compare
from pipeline.commands.compare_grounders import compare_grounders
from pipeline.commands.concepts import concepts
from pipeline.commands.convert import convert
from pipeline.commands.dialects import dialects
from pipeline.commands.doctor import doctor
from pipeline.commands.evaluate import evaluate
from pipeline.commands.fingerprint_set import fingerprint_set
from pipeline.commands.plan import plan
from pipeline.commands.push import push
from pipeline.commands.report import report
from pipeline.commands.retry import retry
from pipeline.commands.run import run
from pipeline.commands.stages import stages
from pipeline.commands.stats import stats
from pipeline.commands.status import status
from pipeline.commands.train import train
from pipeline.commands.verify import verify
from pipeline.commands.view import view
from pipeline.commands.why import why
from schemas.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Images with captions in, grounded vision-language training data out.\n\n"
    "Start with `pipeline run quickstart`, then look into recipes/grit.yaml.",
)
app.command()(run)
app.command()(train)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(compare_grounders)
app.command()(plan)
app.command()(status)
app.command()(retry)
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

"""The last section of a dataset's report: how well a model does that was trained on it.

The scores belong to the very shards that were trained on: a run that writes other shards drops them.
"""

from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

HEADING = "\n## Scores\n"


def scores_in(report: str) -> str:
    """The section with its heading; empty if there is none."""
    return HEADING + report.partition(HEADING)[2] if HEADING in report else ""


def put_scores(output: Store, report: str, section: str) -> None:
    """Writes the section, Markdown without heading, into the report of that name.

    Raises `UserError` where no finished dataset is.
    """
    if not output.exists(report):
        raise UserError(f"{output.root} holds no finished dataset; `pipeline run` makes it")
    text = output.read(report).decode().partition(HEADING)[0]
    output.write(report, f"{text}{HEADING}\n{section.strip()}\n".encode())

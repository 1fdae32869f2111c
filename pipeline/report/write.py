"""Gathers what a run has to show and writes it into one file."""

import hashlib
from collections.abc import Iterator

from pipeline.gallery.entry import Entry
from pipeline.gallery.from_record import from_record
from pipeline.output.finish import SUMS
from pipeline.report.choice import Choice
from pipeline.report.dropped import dropped
from pipeline.report.measured import measured
from pipeline.report.page import Contents, page
from pipeline.report.run import Run
from pipeline.report.survey import Survey, survey
from pipeline.report.thumbnails import Thumbnails
from pipeline.report.training import read_training

NAME = "report.html"


def write_report(run: Run, choice: Choice) -> str:
    """Writes `report.html` beside the dataset and returns its path. The same run gives the same bytes.

    Raises `UserError` for a damaged dataset.
    """
    run.output.write(NAME, page(gather(run, choice)).encode("utf-8", "backslashreplace"))
    return run.output.url(NAME)


def gather(run: Run, choice: Choice) -> Contents:
    """All that the report of a run shows."""
    thumbnails = Thumbnails()
    found = survey(run.output, choice) if run.is_finished else None
    return Contents(
        run=run,
        survey=found,
        kept=list(_kept(found, thumbnails)) if found else [],
        measured=measured(run),
        groups=dropped(run, choice, thumbnails),
        pictures=thumbnails.uris,
        training=read_training(run.model),
        fingerprint=hashlib.sha256(run.output.read(SUMS)).hexdigest()[:16] if found else "",
    )


def _kept(found: Survey, thumbnails: Thumbnails) -> Iterator[Entry]:
    for record, image in found.chosen:
        yield from_record(record, thumbnails.of(image))

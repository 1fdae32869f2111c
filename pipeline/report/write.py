"""Gathers what a run has to show and writes it into one file."""

from collections.abc import Iterator

from gritmill.pipeline.engine.finish import fingerprint_of
from gritmill.pipeline.gallery.entry import GalleryEntry
from gritmill.pipeline.gallery.from_record import from_record
from gritmill.pipeline.report.choice import Choice
from gritmill.pipeline.report.dropped import dropped
from gritmill.pipeline.report.measured import measured
from gritmill.pipeline.report.page import Contents, page
from gritmill.pipeline.report.run import ReportedRun
from gritmill.pipeline.report.survey import Survey, survey
from gritmill.pipeline.report.thumbnails import Thumbnails
from gritmill.pipeline.report.training import read_training
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

NAME = "report.html"


def write_report(run: ReportedRun, choice: Choice) -> str:
    """Writes `report.html` beside the dataset and returns its path. The same run gives the same bytes.

    Raises `UserError` for a damaged dataset, and where a page of that name is there that is not ours.
    """
    if run.output.exists(NAME) and not _is_ours(run.output):
        raise UserError(f"{run.output.url(NAME)} is not ours to write over; move it away")
    run.output.write(NAME, page(gather(run, choice)).encode("utf-8", "backslashreplace"))
    return run.output.url(NAME)


def tells_of(output: Store) -> bool:
    """False for a report of ours that was written for an earlier state of the dataset."""
    return not _is_ours(output) or fingerprint_of(output).encode() in output.read(NAME)


def _is_ours(output: Store) -> bool:
    return b'<meta name="generator" content="gritmill">' in output.read(NAME)


def gather(run: ReportedRun, choice: Choice) -> Contents:
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
        fingerprint=fingerprint_of(run.output) if found else "",
    )


def _kept(found: Survey, thumbnails: Thumbnails) -> Iterator[GalleryEntry]:
    for record, image in found.chosen:
        yield from_record(record, thumbnails.of(image))

"""What the user wants to look at, by whatever name: a run, tars, or a file of another format."""

from dataclasses import dataclass, field
from typing import Any

from gritmill.pipeline.engine.last_run import last_run
from gritmill.pipeline.engine.recipes import RECORDED, find_run_files
from gritmill.pipeline.engine.run import work_directory
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify.locate import find_shards
from gritmill.pipeline.view.dropped import DroppedSamples
from gritmill.pipeline.view.foreign import ForeignSamples
from gritmill.pipeline.view.listing import SampleListing
from gritmill.pipeline.view.shards import ShardSamples
from gritmill.schemas.errors import UserError

_FIRST_LOOK = 60.0
"""Seconds within which a dataset must show that it has a sample; a tar may begin with much else."""


@dataclass(frozen=True)
class Side:
    """One dataset: what is in it and, if its run is known, what is not."""

    name: str
    kept: SampleListing[Any]
    dropped: SampleListing[Any] | None = None
    own_notes: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What the user should know of the data, in words."""
        return [*self.own_notes, *self.kept.notes, *(self.dropped.notes if self.dropped else [])]


def open_side(name: str, images: str | None = None) -> Side:
    """A run (recipe, output or work folder), tars (path, glob, folder, URL), or a file of a format that
    `pipeline convert` reads, whose images lie in the folder `images`.

    Raises `UserError` if there is nothing to see.
    """
    side = _run(name) if _is_run(name) else Side(name, _samples(name, images))
    side.kept.grow(_FIRST_LOOK, rows=1)
    if not side.kept.rows and side.dropped is None:
        raise UserError("; ".join([f"{name} has no samples", *side.notes]) + ". Give shards that have some.")
    return side


def _is_run(name: str) -> bool:
    is_recipe = name.endswith((".yaml", ".yml"))
    return is_recipe or files.stat(f"{name.rstrip('/')}/{RECORDED}") is not None


def _samples(name: str, images: str | None) -> SampleListing[Any]:
    try:
        return ShardSamples(find_shards([name]))
    except UserError:
        # Tars of whatever origin are paged through by their headers; the rest must be read from the start.
        return ForeignSamples(name, images)


def _run(name: str) -> Side:
    """A dataset with what was dropped; only the dataset where the results of its stages are not at hand."""
    output = name
    try:
        run = find_run_files(name)
        output = run.output.dir
        work = Store(work_directory(run, None))
        return Side(name, ShardSamples(_shards_of(output)), DroppedSamples(last_run(work), work))
    except UserError as error:
        note = f"What was dropped is not shown: {error}"
        return Side(name, ShardSamples(find_shards([output])), own_notes=[note])


def _shards_of(output: str) -> list[str]:
    """None for a run that has written none, which is when one wants to see what was dropped."""
    try:
        return find_shards([output])
    except (UserError, FileNotFoundError):
        return []

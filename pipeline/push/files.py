"""Which files of a finished dataset belong into its repository."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from gritmill.pipeline.card import CARD, CROISSANT, PICTURES, is_picture
from gritmill.pipeline.engine.finish import REPORT, STATS
from gritmill.pipeline.engine.recipes import RECORDED, record
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.output.formats import FORMATS
from gritmill.pipeline.storage.checksums import SUMS, parse_sums
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import public
from gritmill.schemas.records import TYPES

BESIDE = (STATS, TYPES, CARD, CROISSANT, "report.html", "LICENSE", RECORDED, REPORT, SUMS)
"""What goes along with the shards if it lies in the dataset's folder, besides the card's pictures."""

BATCH_FILES, BATCH_BYTES = 100, 5_000_000_000


@dataclass(frozen=True)
class LocalFile:
    """A file as it is to be in the repository."""

    path: str
    size: int
    sha256: str | None = None
    """As the run wrote it down; None for what is not in `SHA256SUMS`."""
    text: bytes | None = None
    """Stands in for what lies on the disk; None where that is pushed as it is."""

    def read(self, output: Store) -> bytes:
        return output.read(self.path) if self.text is None else self.text


def files_of(output: Store, job: RunFiles) -> list[LocalFile]:
    """All files to be in the repository. Raises `UserError` if the dataset is not finished."""
    if not output.exists(SUMS):
        raise UserError(
            f"{output.root} holds no finished dataset; `pipeline run` makes it, or goes on with it"
        )
    if output.read(RECORDED) != record(job.data, work=False):
        raise UserError(
            f"{output.root} was made by another state of the recipe; run it again, or push the folder itself"
        )
    files = []
    for path, digest in parse_sums(output.read(SUMS)).items():
        size = output.size(path)
        if size is None:
            raise UserError(f"{output.root} lacks {path}, which {SUMS} lists; run the recipe again")
        files.append(LocalFile(path, size, digest))
    there = set(output.names())
    pictures = [f"{PICTURES}/{name}" for name in output.names(PICTURES) if is_picture(f"{PICTURES}/{name}")]
    beside = [_beside(path, output) for path in (*BESIDE, *pictures) if path in there or path in pictures]
    # First what tells whose the repository is, last what tells that it is complete.
    return sorted([*files, *beside], key=lambda file: (file.path != STATS, file.path == SUMS))


def _beside(path: str, output: Store) -> LocalFile:
    if path == RECORDED:
        recipe = public(yaml.safe_load(output.read(path)))
        text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True).encode()
        return LocalFile(path, len(text), text=text)
    return LocalFile(path, output.size(path) or 0)


def is_ours(path: str) -> bool:
    """True for the path of a file that a run or `pipeline card` numbers, and may number otherwise next time.

    >>> is_ours("data/train-00000-of-00042.tar"), is_ours("coco/test.json"), is_ours("data/notes.tar")
    (True, True, False)
    """
    return is_picture(path) or any(
        re.fullmatch(
            re.escape(form.path("SPLIT", 0, 1))
            .replace("SPLIT", "(train|validation|test)")
            .replace("00000", r"\d{5}")
            .replace("00001", r"\d{5}"),
            path,
        )
        for form in FORMATS.values()
    )


def batches(files: Iterable[LocalFile]) -> Iterator[list[LocalFile]]:
    """Cuts where a batch would have too many files or bytes; a file of more stands alone."""
    batch: list[LocalFile] = []
    for file in files:
        size = sum(other.size for other in batch) + file.size
        if batch and (len(batch) == BATCH_FILES or size > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def size_text(count: int) -> str:
    """1234567 -> `1.2 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"

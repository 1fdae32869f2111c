"""The samples of a file or folder in another format, by the readers of `pipeline convert`."""

from collections.abc import Iterator

from gritmill.pipeline import convert
from gritmill.pipeline.convert import Losses, Sample
from gritmill.pipeline.gallery import GalleryEntry
from gritmill.pipeline.sources.images import StoredImage
from gritmill.pipeline.view.listing import SampleListing
from gritmill.pipeline.view.records import entry_of, measured_size, told_size


class ForeignSamples(SampleListing[Sample]):
    """Such files have no index: records are kept once they have been read, images are not."""

    def __init__(self, path: str, images: str | None = None) -> None:
        """Raises `UserError` if it is in no format that we know."""
        super().__init__()
        self._path = path
        self._format = convert.sniff(path)
        self._images = images
        self._losses = Losses()

    @property
    def notes(self) -> list[str]:
        """How many rows the reader left out, and why."""
        rows = [f"{count:,} rows are not shown: {why}" for why, count in self._losses.rows.items()]
        return [*rows, *(f"{count:,} times left out: {why}" for why, count in self._losses.parts.items())]

    def find(self) -> Iterator[Sample | None]:
        yield from convert.read(self._path, self._format, self._losses, self._images)

    def entry(self, number: int) -> GalleryEntry:
        record = self.rows[number].record
        return entry_of(record["key"], record)

    def size(self, number: int) -> tuple[int, int]:
        if self.rows[number].where is None:
            raise OSError("the image is not found")
        return told_size(self.rows[number].record) or measured_size(self.image(number))

    def image(self, number: int) -> bytes:
        where = self.rows[number].where
        if where is None:
            raise OSError("the image is not found")
        return StoredImage(where).read()

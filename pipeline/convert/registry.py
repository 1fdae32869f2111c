"""The formats by name, and which of them a file or folder is in."""

from collections.abc import Iterator
from types import ModuleType

from pipeline import files
from pipeline.convert.formats import coco, kosmos2, llava, webdataset
from pipeline.convert.reading import first_entry
from pipeline.convert.sample import Losses, Sample
from pipeline.convert.shards import find_samples
from schemas.errors import UserError

FORMATS: dict[str, ModuleType] = {
    "webdataset": webdataset,
    "kosmos2": kosmos2,
    "llava": llava,
    "coco": coco,
}


def read(
    path: str, format: str | None = None, losses: Losses | None = None, images: str | None = None
) -> Iterator[Sample]:
    """The samples of a file or folder in any of the formats; `images` is where its images are looked for.

    Raises `UserError` if it is in none of them.
    """
    name = format or sniff(path)
    if name not in FORMATS:
        raise UserError(f"{name!r} is no format; choose one of {', '.join(FORMATS)}.")
    return FORMATS[name].read(path, losses or Losses(), images)


def sniff(path: str) -> str:
    """The format of a file or folder, by what is in it. Raises `UserError` if it is none that we know."""
    file = files.stat(path)
    if file and path.endswith(".json"):
        return "llava" if llava.recognises(first_entry(path)) else "coco"
    first = next(find_samples(path, Losses()))
    return "webdataset" if webdataset.recognises(first) else "kosmos2"

"""The formats by name, and which of them a file or folder is in."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gritmill.pipeline.convert.formats import (
    coco,
    fiftyone,
    flickr30k,
    kosmos2,
    kosmos2_parquet,
    label_studio,
    llava,
    odvg,
    parquet,
    refcoco,
    webdataset,
)
from gritmill.pipeline.convert.reading import HEAD, first_entry
from gritmill.pipeline.convert.sample import FIELDS, Losses, Sample
from gritmill.pipeline.convert.shards import find_samples, find_tars
from gritmill.pipeline.convert.tables import columns_of, find_tables
from gritmill.pipeline.storage import files
from gritmill.schemas.errors import UserError


class Reader(Protocol):
    """Yields the samples of a file or folder; rows and parts that are none go to `losses`.

    `images` is the folder in which images are looked for, instead of where the format has them.
    """

    def __call__(self, path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]: ...


class Writer(Protocol):
    """Writes samples into an empty folder as they come; returns how many it could write.

    Without `copy_images`, images are named but not copied, where the format keeps them as files.
    """

    def __call__(
        self, samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True
    ) -> int: ...


@dataclass(frozen=True)
class DatasetFormat:
    """A format that datasets can be in."""

    title: str
    read: Reader
    write: Writer
    loses: dict[str, str]
    """What of a sample does not come back from it, and why: each a field of `FIELDS`."""

    @property
    def keeps(self) -> list[str]:
        """The fields that come back as they were; boxes up to the format's rounding."""
        return [field for field in FIELDS if field not in self.loses]


FORMATS: dict[str, DatasetFormat] = {
    "webdataset": DatasetFormat("our shards", webdataset.read, webdataset.write, webdataset.LOSES),
    "parquet": DatasetFormat("our records as a table", parquet.read, parquet.write, parquet.LOSES),
    "kosmos2": DatasetFormat(
        "GRIT as img2dataset fetches it: json beside images", kosmos2.read, kosmos2.write, kosmos2.LOSES
    ),
    "kosmos2_parquet": DatasetFormat(
        "GRIT's table on the Hub", kosmos2_parquet.read, kosmos2_parquet.write, kosmos2_parquet.LOSES
    ),
    "llava": DatasetFormat("LLaVA's json of conversations", llava.read, llava.write, llava.LOSES),
    "coco": DatasetFormat(
        "COCO's json; captions, instances, MDETR's grounding", coco.read, coco.write, coco.LOSES
    ),
    "refcoco": DatasetFormat(
        "RefCOCO's refs as json, with instances", refcoco.read, refcoco.write, refcoco.LOSES
    ),
    "flickr30k": DatasetFormat(
        "Flickr30k Entities: marked sentences and XML", flickr30k.read, flickr30k.write, flickr30k.LOSES
    ),
    "odvg": DatasetFormat(
        "MM-Grounding-DINO's lines of phrases and boxes", odvg.read, odvg.write, odvg.LOSES
    ),
    "fiftyone": DatasetFormat(
        "FiftyOne's COCODetectionDataset", fiftyone.read, fiftyone.write, fiftyone.LOSES
    ),
    "label_studio": DatasetFormat(
        "Label Studio's tasks with predictions", label_studio.read, label_studio.write, label_studio.LOSES
    ),
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
    if not (files.exists(path) or files.find(path)):
        raise UserError(f"there is nothing at {path}; give a file or folder that is there.")
    if files.stat(path) and path.endswith((".json", ".jsonl")):
        return _sniff_json(path)
    if path.endswith(".parquet"):
        return _sniff_table(path)
    if flickr30k.recognises(path):
        return "flickr30k"
    if files.stat(posixpath.join(path, fiftyone.LABELS)):
        return "fiftyone"
    if files.stat(posixpath.join(path, "refs.json")):
        return "refcoco"
    has_tars = bool(find_tars(path))
    lists = [name for name in files.children(path) if name.endswith((".json", ".jsonl"))]
    has_images = any(name.endswith((".jpg", ".jpeg", ".png", ".webp")) for name in files.children(path))
    if lists and not has_images and not has_tars:
        return _sniff_json(posixpath.join(path, lists[0]))
    if any(name.endswith(".json") for name in files.children(posixpath.join(path, "annotations"))):
        return "coco"
    try:
        first = next(find_samples(path, Losses()), None)
    except UserError:
        return _sniff_table(path)
    return "webdataset" if first and webdataset.recognises(first) else "kosmos2"


def _sniff_json(path: str) -> str:
    entry = first_entry(path)
    known = {"odvg": odvg, "refcoco": refcoco, "llava": llava, "label_studio": label_studio}
    for name, format in known.items():
        if format.recognises(entry):
            return name
    if coco.recognises(entry) or b'"images"' in files.read_range(path, 0, HEAD):
        return "coco"
    raise _unknown(path)


def _sniff_table(path: str) -> str:
    try:
        columns = columns_of(find_tables(path)[0])
    except UserError:
        columns = []
    if parquet.recognises(columns):
        return "parquet"
    if kosmos2_parquet.recognises(columns):
        return "kosmos2_parquet"
    raise _unknown(path)


def _unknown(path: str) -> UserError:
    return UserError(f"{path} looks like none of {', '.join(FORMATS)}; say which it is with --from.")

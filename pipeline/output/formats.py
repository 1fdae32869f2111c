"""The formats that a run can write, by the name a recipe gives them.

output: {dir: out/grit, formats: [webdataset, parquet, coco, llava]}
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from gritmill.schemas.tables import Table


class ShardWriter(Protocol):
    """Writes one shard to a file that somebody else opens, syncs, closes and renames.

    What it writes depends on nothing but the samples, their order and the extension.
    """

    def __init__(self, file: BinaryIO, extension: str) -> None:
        """`extension` is that of all images of the split, see `image_extension`."""

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        """Appends a sample. `image` is its encoded bytes; empty if the format reads none."""

    def close(self) -> None:
        """Writes what is left. The file stays open."""


@dataclass(frozen=True)
class Format:
    """How a format is written and what its files are called."""

    writer: Callable[[BinaryIO, str], ShardWriter]
    pattern: str
    reads_images: bool = False
    """Whether `add` needs the image's bytes."""
    reads: tuple[str, ...] = ()
    """Columns without which there is nothing to write; the others it takes if they are there."""
    merge: Callable[[Sequence[Callable[[], BinaryIO]], BinaryIO], None] | None = None
    """Set where a split is a single file: joins what the writers of its shards wrote."""

    def path(self, split: str, shard: int, shards: int) -> str:
        """Where a shard goes in the output directory: `data/train-00000-of-00042.tar`.

        With `merge` it is the same for all shards of a split: `coco/train.json`.
        """
        return self.pattern.format(split=split, shard=shard, shards=shards)


FORMATS: Table[Format] = Table(
    {
        "webdataset": "gritmill.pipeline.output.webdataset:WEBDATASET",
        "parquet": "gritmill.pipeline.output.parquet:PARQUET",
        "coco": "gritmill.pipeline.output.coco:COCO",
        "llava": "gritmill.pipeline.output.llava:LLAVA",
    },
    Format,
)

EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif", "bmp": "bmp", "tiff": "tiff"}
"""Pillow's name of a format, in lower case -> the extension that loaders know it by."""


def image_extension(formats: Iterable[str]) -> str:
    """The one extension for all images of a split, whose formats these are: `["jpeg", "png"]` -> `jpg`.

    One format takes its usual extension. Several share `jpg`: webdataset and `datasets` want the same
    members in every sample, re-encoding would change pixels, and every common loader (Pillow below
    both of them) goes by an image's content, not by its name. The record's `image_format` tells the truth.
    """
    extensions = {EXTENSIONS.get(name, "jpg") for name in formats}
    return extensions.pop() if len(extensions) == 1 else "jpg"

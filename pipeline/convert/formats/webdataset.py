"""`webdataset`: our own shards, as `pipeline run` writes them.

data/train-00000-of-00042.tar    000373938.jpg  000373938.json  000373938.txt  ...
"""

from collections.abc import Iterator

from pipeline.convert.sample import Losses, Sample
from pipeline.convert.shards import Files, read_shards


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Tars as we write them; the images are taken from within them."""
    return read_shards(path, losses)


def recognises(first: Files) -> bool:
    """True if a sample of an archive is one of ours."""
    raw = first.json() or {}
    return {"image_id", "source", "captions", "metadata"} <= raw.keys()

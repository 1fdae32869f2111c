"""`kosmos2`: GRIT as it comes from img2dataset, a json beside each image, in tars or loose files.

    00000.tar    000373938.jpg  000373938.json  000373938.txt  ...

    {"key": "000373938", "clip_similarity_vitb32": 0.3533, "id": 1795296605919,
     "url": "https://www.thestrapsaver.com/wp-content/uploads/customerservice-1.jpg",
     "caption": "a wire hanger with a paper cover that reads we heart our customers",
     "width": 1024, "height": 693,
     "noun_chunks": [[19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929], ...],
     "ref_exps": [[19, 66, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929], ...]}

The card of zzliang/GRIT says what the fields are. Those that are none of a record's, such as `url` and the
similarities, are kept in its metadata, and come from there when written.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gritmill.pipeline.convert.records import RECORD_FIELDS
from gritmill.pipeline.convert.sample import Losses, Sample
from gritmill.pipeline.convert.shards import read_shards
from gritmill.pipeline.convert.writing import opened
from gritmill.pipeline.storage.member_names import member_stem
from gritmill.pipeline.storage.tar_writer import TarWriter
from gritmill.schemas.records import Record, to_json

LOSES = {
    "masks": "there are none",
    "captions": "only the sample's own caption stays",
    "models": "boxes do not say which model found them",
    "phrases": "boxes do not say what the model was asked for, where that is not the noun chunk",
    "image_id": "each sample is an image of its own",
    "split": "there are no splits",
    "image_format": "told by the file's extension alone",
    "source": "where the image was taken from is not said",
    "conversations": "there are none",
    "provenance": "there is none",
    "annotations": "boxes whose label is no part of the caption cannot be said",
}
SHARD_SAMPLES = 10_000
"""Of a tar, as many as img2dataset writes."""


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Tars or folders of img2dataset; any image-text pairs of it will do, boxes or not."""
    return read_shards(path, losses)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """Tars of 10,000 samples; returns how many samples they hold. One without image is left out."""
    written = 0
    with ExitStack() as stack:
        for sample in samples:
            image = sample.image
            key = sample.record["key"]
            if image is None:
                losses.row(key, "its image is not found")
                continue
            if not is_grit(sample, losses):
                continue
            if written % SHARD_SAMPLES == 0:
                stack.close()
                file = stack.enter_context(opened(folder / f"{written // SHARD_SAMPLES:05d}.tar"))
                tar = TarWriter(file)
                stack.callback(tar.close)
            stem = member_stem(key)
            tar.add(
                (f"{stem}.{sample.extension}", image),
                (f"{stem}.json", to_json(grit_record(sample.record))),
                (f"{stem}.txt", sample.record["caption"].encode()),
            )
            written += 1
    return written


def is_grit(sample: Sample, losses: Losses) -> bool:
    """True for a sample with a caption; counts what GRIT's fields cannot say of it."""
    key = sample.record["key"]
    if not sample.record["caption"]:
        losses.row(key, "it has no caption")
        return False
    for _ in sample.annotations:
        losses.part(key, "a box whose label is no part of the caption")
    return True


def grit_record(record: Record) -> dict[str, Any]:
    """GRIT's released fields, and what else the metadata says, which must not take a field's name."""
    metadata = json.loads(record["metadata"])
    return {
        "key": record["key"],
        **{name: value for name, value in metadata.items() if name not in RECORD_FIELDS},
        **{name: record[name] for name in ("caption", "width", "height")},
        "noun_chunks": record.get("noun_chunks") or [],
        "ref_exps": record.get("ref_exps") or record.get("noun_chunks") or [],
    }

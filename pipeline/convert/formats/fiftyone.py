"""`fiftyone`: FiftyOne's COCODetectionDataset, the documented layout that keeps fields of our own.

    data/000000000139_0.jpg  ...
    labels.json                COCO's json with MDETR's fields, see `pipeline/output/coco.py`

    fiftyone.Dataset.from_dir(dataset_dir=..., dataset_type=fiftyone.types.COCODetectionDataset)

As in https://docs.voxel51.com/user_guide/import_datasets.html, section COCODetectionDataset. Its importer
tells samples apart by their files, so each has one of its own, called by its key. The phrases are the
categories, so that they are what FiftyOne writes at a box; `score` becomes its confidence and other fields
of a box its attributes. The app shows no captions: the importer takes no fields of images.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gritmill.pipeline.convert.formats import coco
from gritmill.pipeline.convert.sample import Losses, Sample
from gritmill.pipeline.convert.writing import Pictures
from gritmill.pipeline.storage.member_names import member_stem

LOSES = coco.LOSES
LABELS = "labels.json"


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """`labels.json` is in memory as a whole."""
    return coco.read(path if path.endswith(".json") else f"{path.rstrip('/')}/{LABELS}", losses, images)


def write(samples: Iterable[Sample], folder: Path, losses: Losses, copy_images: bool = True) -> int:
    """One folder for all splits, which the images name; returns how many samples it holds.

    Memory holds each phrase that occurs, once.
    """
    pictures = Pictures(folder / "data", losses, copy_images)

    def put(sample: Sample) -> str:
        return pictures.put(sample, f"{member_stem(sample.record['key'])}.{sample.extension}")

    return coco.write_files(samples, folder, losses, put, lambda split: LABELS, True)

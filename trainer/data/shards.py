"""Shards of one split as a map-style dataset: any sample by its number, at once.

dataset = open_split("out/grit", "train")
len(dataset), dataset[17].conversation, dataset.record(17)["ref_exps"], dataset.image(17)
"""

import posixpath
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from PIL.Image import Image as PILImage
from torch.utils.data import ConcatDataset, Dataset

from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.checksums import listed
from gritmill.pipeline.storage.ranges import Ranges
from gritmill.schemas.errors import UserError
from gritmill.schemas.records import Record
from gritmill.trainer.data.examples import Bad, Example
from gritmill.trainer.data.index import load_indexes
from gritmill.trainer.data.reading import MAX_IMAGE, MAX_RECORD, BadSample, to_example, to_image, to_record

_NAME = re.compile(r"(.+)-(\d{5,})-of-(\d{5,})\.tar")
_GAP = 2**16
"""Image and record are read at once if no more bytes than these lie between them."""


class ShardDataset(Dataset):
    """The samples of a list of shards, in their order: `[i]` is an `Example`, or `Bad` if it has none.

    A sample is read from its shard when asked for; nothing is kept. Goes to the workers of a loader,
    forked or not. Raises `UserError` for shards that cannot be had and for such as have no samples.
    """

    def __init__(self, shards: Sequence[str]) -> None:
        self.shards = list(shards)
        indexes = load_indexes(self.shards)
        index = pa.concat_tables(indexes).combine_chunks() if indexes else None
        if index is None or not index.num_rows:
            raise UserError(f"there is no sample in {', '.join(self.shards[:3])}; name other shards.")
        sizes = [table.num_rows for table in indexes]
        self._shard = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        self._keys: pa.Array = index["key"].combine_chunks()
        self._image_ids: pa.Array = index["image_id"].combine_chunks()
        self._places = np.stack([index[name].to_numpy() for name in index.column_names[3:]], axis=1)
        self._ranges = Ranges(self.shards)
        self.boxes: np.ndarray = index["boxes"].to_numpy().copy()
        """Boxes of each sample, int32."""

    def __len__(self) -> int:
        return len(self._shard)

    def __getitem__(self, number: int) -> Example | Bad:
        try:
            image, record = self._members(number)
        except BadSample as error:
            return Bad(self.key(number), str(error))
        return to_example(self.key(number), image, record)

    @property
    def keys(self) -> list[str]:
        """Of all samples."""
        return list(self._keys.to_pylist())

    @property
    def image_ids(self) -> list[str]:
        """Of all samples."""
        return list(self._image_ids.to_pylist())

    def key(self, number: int) -> str:
        return str(self._keys[int(number)].as_py())

    def record(self, number: int) -> Record:
        """What the shard says of a sample. Raises `BadSample` if it is unreadable."""
        offset, size = self._places[number, 2:].tolist()
        return to_record(self._read(number, "record", offset, size, MAX_RECORD))

    def image(self, number: int) -> PILImage:
        """RGB, upright. Raises `BadSample` if it is unreadable."""
        offset, size = self._places[number, :2].tolist()
        return to_image(self._read(number, "image", offset, size, MAX_IMAGE))

    def _members(self, number: int) -> tuple[bytes, bytes]:
        image_at, image_size, record_at, record_size = self._places[number].tolist()
        start, end = min(image_at, record_at), max(image_at + image_size, record_at + record_size)
        is_near = image_size and record_size and end - start <= image_size + record_size + _GAP
        if is_near and image_size <= MAX_IMAGE and record_size <= MAX_RECORD:
            data = self._read(number, "image", start, end - start, end - start)
            image = data[image_at - start : image_at - start + image_size]
            return image, data[record_at - start : record_at - start + record_size]
        image = self._read(number, "image", image_at, image_size, MAX_IMAGE)
        return image, self._read(number, "record", record_at, record_size, MAX_RECORD)

    def _read(self, number: int, kind: str, offset: int, size: int, limit: int) -> bytes:
        if size > limit:
            raise BadSample(f"{kind}: {size} bytes are more than {limit}")
        try:
            return self._ranges.read(int(self._shard[number]), offset, size) if size else b""
        except OSError as error:
            raise BadSample(f"{kind}: {error}") from error


class Mixture(ConcatDataset):
    """Datasets one after the other: sample 0 of the second has the number `len(first)`."""

    @property
    def boxes(self) -> list[np.ndarray]:
        """Boxes of each sample, for each dataset."""
        return [dataset.boxes for dataset in self.datasets]


def open_split(folder: str, split: str) -> ShardDataset:
    """A split of a dataset of ours, or of any folder whose shards are called so. See `split_shards`."""
    return ShardDataset(split_shards(folder, split))


def split_shards(folder: str, split: str) -> list[str]:
    """The shards `data/train-00000-of-00008.tar`, ... of a folder, or those right in it, in order.

    Raises `UserError` if there are none or not all of them.
    """
    splits: dict[str, None] = {}
    for place in (posixpath.join(folder, "data"), folder):
        found = [match for name in files.children(place) if (match := _NAME.fullmatch(name))]
        splits |= dict.fromkeys(match[1] for match in found)
        ours = [match for match in found if match[1] == split]
        if ours:
            _check_complete(place, split, [(int(match[2]), int(match[3])) for match in ours])
            return [posixpath.join(place, match[0]) for match in ours]
    others = f"it has {', '.join(splits)}" if splits else "make it first with `pipeline run`"
    raise UserError(f"{folder} has no shards of a split {split!r}; {others}, or name another folder.")


def checksums(shards: Sequence[str]) -> dict[str, str]:
    """Path below the dataset's folder -> SHA-256, for those shards that `SHA256SUMS` lists.

    >>> checksums(["out/data/train-00000-of-00008.tar"])
    {'data/train-00000-of-00008.tar': '5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'}
    """
    return {told.path: told.sha256 for told in listed(shards).values() if told and told.sha256}


def _check_complete(place: str, split: str, numbers: list[tuple[int, int]]) -> None:
    totals = sorted({total for _, total in numbers})
    if len(totals) > 1:
        raise UserError(
            f"{place} has shards of several datasets, {split} of {' and of '.join(map(str, totals))}; "
            "remove those that are too many."
        )
    if len(numbers) != totals[0]:
        raise UserError(
            f"{place} has {len(numbers)} of {totals[0]} shards of {split}; finish the run that makes them."
        )

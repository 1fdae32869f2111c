"""`huggingface`: a dataset of the hub, one saved with `datasets`, or parquet files.

Only files are read: the library `datasets` is not needed, and no code of a dataset is run.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from gritmill.pipeline.sources import columnar
from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import CaptionedSource, GrowingRows, json_object
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_CONVERTED = "refs/convert/parquet"
"""The hub's own copy of a dataset as parquet, in `<subset>/<split>/0000.parquet`."""


class HuggingfaceSource(CaptionedSource):
    """Reads the image column and caption columns; a part is some row groups, or an Arrow file."""

    place = ("dataset", "subset", "split", "per")
    type: Literal["huggingface"] = "huggingface"
    dataset: str
    """An id on the hub (`user/name`), a folder that `save_to_disk` wrote, or parquet files by path,
    glob or URL."""
    revision: str | None = None
    """Branch, tag or commit on the hub; null is its main branch, as it is when the run is planned."""
    subset: str | None = None
    """Which of a dataset's subsets (configurations), where it has several."""
    split: str = "train"
    """Which split."""
    image: str = "image"
    """Column with the images."""
    caption: str | list[str] = "caption"
    """Column with a caption or a list of them; or a list of such columns."""
    part_size: int = Field(default=1000, ge=1)
    """Rows of a part, as far as row groups allow."""

    def problems(self) -> list[str]:
        try:
            found = self._files()
            return columnar.column_problems(found[0].uri, self.image, self._captions)
        except UserError as error:
            return [str(error)]

    def parts(self) -> Iterator[Part]:
        yield from columnar.cut(self._files(), self.part_size)

    def read(self, part: Part) -> Columns:
        samples = GrowingRows(self)
        rows = columnar.read_rows(part, self.image)
        for i, (values, image) in enumerate(zip(rows.values, rows.images)):
            if isinstance(image, str):  # a path, which is of no use away from where it was written
                image = Reject("missing_image", ascii(image)[1:-1][:200])
            name = f"{part['name']}_{rows.first + i:06d}"
            columnar.add_row(samples, name, image, values, captions=self._captions, leave_out=[self.image])
        return samples.columns

    @property
    def _captions(self) -> list[str]:
        return [self.caption] if isinstance(self.caption, str) else self.caption

    def _files(self) -> list[File]:
        """The files of the split. Raises `UserError` if there are none."""
        where = self.dataset.rstrip("/")
        if where.endswith((".parquet", ".arrow")):
            found, missing = files.find_all([where])
            if missing:
                raise UserError(f"nothing is found at {missing[0]}; let `dataset` name files that are there")
            return found
        if files.is_local(where) and not Path(where).exists() and _HUB_ID.fullmatch(where):
            return self._on_hub(where)
        return self._saved(where) or self._of_split(where, files.walk(where))

    def _saved(self, folder: str) -> list[File]:
        """The Arrow files of what `save_to_disk` wrote; none if it did not write this folder."""
        splits = _json(posixpath.join(folder, "dataset_dict.json")).get("splits")
        if isinstance(splits, list):
            if self.split not in splits:
                raise UserError(
                    f"{folder} has no split {self.split!r}; it has: {', '.join(map(str, splits))}"
                )
            folder = posixpath.join(folder, self.split)
        state = _json(posixpath.join(folder, "state.json"))
        if state.get("_indices_data_files"):
            raise UserError(
                f"{folder} holds a selection of rows beside its data; load it with `datasets`, call "
                "flatten_indices() and save it again"
            )
        names = [str(entry["filename"]) for entry in state.get("_data_files", [])]
        found = files.stat_all(folder, [files.inside(folder, name) for name in names])
        absent = [name for name, file in zip(names, found) if file is None]
        if absent:
            raise UserError(f"{folder} lacks its file {absent[0]}; copy it again")
        return [file for file in found if file]

    def _on_hub(self, name: str) -> list[File]:
        for revision in [self.revision, _CONVERTED]:
            commit = _commit(name, revision)
            folder = f"hf://datasets/{name}@{commit}"
            found = {path: file for path, file in files.walk(folder).items() if path.endswith(".parquet")}
            if found:
                return self._of_split(name, found)
        raise UserError(f"the hub holds no parquet of {name}; download it and use another source type")

    def _of_split(self, where: str, found: dict[str, File]) -> list[File]:
        names = [name for name in found if name.endswith(".parquet")]
        if not names:
            raise UserError(f"{where} holds no parquet and nothing that save_to_disk wrote; check `dataset`")
        return [found[name] for name in of_split(names, self.split, self.subset)]


def of_split(names: Sequence[str], split: str, subset: str | None) -> list[str]:
    """Which files make up a split, by their names as the hub writes them.

    >>> of_split(["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "test", None)
    ['data/test-00000-of-00001.parquet']

    Raises `UserError` if there are none, or if they are of several subsets and none is named.
    """
    if subset is not None:
        names = [name for name in names if subset in posixpath.dirname(name).split("/")]
        if not names:
            raise UserError(f"there is no subset {subset!r}; check `subset`")
    chosen = (
        [name for name in names if _is_named(name, split)]
        or [name for name in names if split in _words(name)]
        # Files of which none names a split are all for training, as `datasets` sees it.
        or [name for name in names if split == "train" and not _SPLITS & _words(name)]
    )
    if not chosen:
        raise UserError(f"there is no split {split!r} among {', '.join(sorted(names)[:5])}; check `split`")
    subsets = sorted({_subset(name, split) for name in chosen})
    if len(subsets) > 1:
        raise UserError(f"there are several subsets: {', '.join(subsets)}. Name one as `subset`.")
    return sorted(chosen)


_SPLITS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}


def _is_named(name: str, split: str) -> bool:
    """True for `.../train-00000-of-00002.parquet`, `.../train.parquet` and `.../train/0000.parquet`."""
    folder, base = posixpath.split(name)
    shard = re.fullmatch(r"(.+?)(-\d+-of-\d+.*)?\.parquet", base)
    return split in folder.split("/") or (shard is not None and shard[1] == split)


def _words(name: str) -> set[str]:
    return set(re.split(r"[-._/ \d]+", name))


def _subset(name: str, split: str) -> str:
    steps = posixpath.dirname(name).split("/")
    return "/".join(step for step in steps if step not in (split, "data", "")) or "default"


def _json(uri: str) -> dict[str, Any]:
    """The object in a small JSON file of `datasets`; empty if there is no such file."""
    try:
        data = files.read(uri, 2**24)
    except OSError:
        return {}
    fields = json_object(data)
    if isinstance(fields, Reject):
        raise UserError(f"{uri} cannot be read: {fields.value}. Save the dataset again.")
    return fields


def _commit(name: str, revision: str | None) -> str:
    """The commit that a revision stands for now, so that a run does not mix two."""
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError(
            f"{name} is no path that is there, and a dataset of the hub needs huggingface_hub: "
            "pip install 'gritmill[hub]'"
        ) from error
    try:
        return str(HfApi().dataset_info(name, revision=revision).sha)
    except Exception as error:  # the library lets through those of its HTTP client, whichever that is
        what = f"{name} at {revision}" if revision else name
        raise UserError(
            f"{what} is no path that is there, and cannot be had from the hub: {error}. "
            "Check the name, the network and the token."
        ) from error

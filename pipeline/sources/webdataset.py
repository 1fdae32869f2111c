"""`webdataset`: tars of images with captions, as img2dataset writes them.

00000.tar         000000000.jpg  000000000.txt  000000000.json  000000001.jpg  ...
00000.parquet     beside it, if there: captions and metadata that the tar lacks, by key
00000_stats.json  beside it, if there: how many samples to expect
"""

import posixpath
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import field_validator

from gritmill.pipeline.sources.base import Part
from gritmill.pipeline.sources.captions import (
    MAX_CAPTION,
    CaptionedSource,
    GrowingRows,
    as_captions,
    json_object,
)
from gritmill.pipeline.sources.keys import safe_key
from gritmill.pipeline.storage import files
from gritmill.pipeline.storage.files import File
from gritmill.pipeline.storage.samples import Place, sample_name
from gritmill.pipeline.storage.tars import BrokenArchive, members
from gritmill.schemas.columns import Columns, ImageRef, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.public import without_secrets

MAX_JSON = 2**24
"""Largest JSON member that is read, in bytes."""

MAX_TABLE = 2**30
"""Largest table beside a tar that is read, in bytes."""


class WebdatasetSource(CaptionedSource):
    """Reads tars without reading the images in them; a tar is a part.

    Samples whose JSON has the same `image_id` show one image, as in the shards that a run writes.
    """

    place = ("shards", "per")
    type: Literal["webdataset"] = "webdataset"
    shards: str | list[str]
    """Tars: a path, glob or URL, `{00000..00012}` spelled out; or a list of them."""
    caption: str | list[str] = "txt"
    """Where captions are: a member's extension (`txt`), or a field of a JSON member, which may be
    a text or a list of texts (`json:caption`); or a list of such places."""
    images: list[str] = ["jpg", "jpeg", "png", "webp"]
    """Extensions of images; where a sample has several, the first in this list counts."""
    prefix_keys: bool = False
    """Puts the tar's name before its keys; for tars that each count from zero."""

    @field_validator("caption")
    @classmethod
    def _names_a_place(cls, value: str | list[str]) -> str | list[str]:
        for place in as_captions(value):
            extension, colon, field = str(place).partition(":")
            if not extension or (colon and not field):
                raise ValueError(f"{place!r} is no place for a caption; write `txt` or `json:caption`")
        return value

    def problems(self) -> list[str]:
        try:
            found, missing = files.find_all(self._patterns)
        except UserError as error:
            return [str(error)]
        problems = []
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            problems.append(
                f"nothing is found at {missing[0]}{more}; let `shards` name .tar files that are there"
            )
        for file in found:
            if file.uri.endswith((".gz", ".tgz", ".bz2", ".xz", ".zst")):
                problems.append(
                    f"{file.uri} is compressed, so that images cannot be read from within it; "
                    "unpack it to a plain .tar"
                )
        return problems

    def parts(self) -> Iterator[Part]:
        found, _ = files.find_all(self._patterns)
        beside = _neighbours(found)
        for start in range(0, len(found), 1000):
            tars = found[start : start + 1000]
            stats = [file.uri for tar in tars if (file := beside.get(_stem(tar) + "_stats.json"))]
            counts = dict(zip(stats, map(_successes, files.read_many(stats))))
            for tar in tars:
                part: Part = {"uri": tar.uri, "version": tar.version}
                table = beside.get(_stem(tar) + ".parquet")
                if table:
                    part |= {"parquet": table.uri, "parquet_version": table.version}
                rows = counts.get(_stem(tar) + "_stats.json")
                yield part | ({} if rows is None else {"rows": rows})

    def read(self, part: Part) -> Columns:
        samples = GrowingRows(self)
        shard = without_secrets(posixpath.basename(part["uri"]))
        prefix = self._prefix(part)
        found, damage = self._scan(part["uri"])
        table = _Table(part.get("parquet"))
        for name, sample in found:
            metadata, captions = self._texts(sample, name, table)
            image = self._image(sample, part["uri"])
            samples.add(prefix + name, image, captions, metadata, image_id=_image_id(metadata))
        if damage:
            samples.reject(shard, Reject("truncated_archive", damage))
        return samples.columns

    def _prefix(self, part: Part) -> str:
        return (
            f"{without_secrets(posixpath.basename(part['uri'])).removesuffix('.tar')}_"
            if self.prefix_keys
            else ""
        )

    @property
    def _patterns(self) -> list[str]:
        return [self.shards] if isinstance(self.shards, str) else self.shards

    @property
    def _places(self) -> list[str]:
        return [self.caption] if isinstance(self.caption, str) else self.caption

    def _scan(self, uri: str) -> tuple[list[tuple[str, "_Sample"]], str]:
        """The samples of a tar in order of first appearance, by name, and what is wrong with it.

        A sample's members need not be neighbours. An extension that comes again for a name
        begins a second sample of that name.
        """
        wanted = {place.partition(":")[0] for place in self._places} | {"json"}
        latest: dict[str, _Sample] = {}
        found: list[tuple[str, _Sample]] = []
        with files.open_binary(uri) as file:
            try:
                for member in members(file):
                    name, extension = sample_name(member.name)
                    if not name:
                        continue
                    if name not in latest or extension in latest[name].members:
                        latest[name] = _Sample()
                        found.append((name, latest[name]))
                    place = Place(member.offset, member.size)
                    latest[name].members[extension] = place
                    if extension in wanted and place.size <= _limit(extension):
                        latest[name].texts[extension] = place.read(file)
            except BrokenArchive as error:
                return found, str(error)
        return found, ""

    def _image(self, sample: "_Sample", uri: str) -> ImageRef | Reject:
        for extension in self.images:
            place = sample.members.get(extension)
            if place:
                return ImageRef(uri, *place) if place.size else Reject("empty_image")
        return Reject("missing_image")

    def _texts(
        self, sample: "_Sample", name: str, table: "_Table"
    ) -> tuple[dict[str, Any] | Reject, list[object]]:
        """Metadata and captions: from the tar, and from the table beside it where the tar has none."""
        metadata = sample.json("json")
        if metadata is None:
            metadata = table.row(name)
        captions: list[object] = []
        for place in self._places:
            extension, _, field = place.partition(":")
            if not field and extension in sample.members:
                captions.append(sample.text(extension))
                continue
            fields = sample.json(extension) if field else None
            if fields is None:
                fields = table.row(name)
            if isinstance(fields, Reject):
                captions.append(fields)
            else:
                captions += as_captions(fields.get(field or "caption"))
        if isinstance(metadata, dict):
            used = {place.partition(":")[2] for place in self._places}
            metadata = {name: value for name, value in metadata.items() if name not in used}
        return metadata, captions


class _Sample:
    """The members of one sample by extension, and the contents of those that hold text."""

    def __init__(self) -> None:
        self.members: dict[str, Place] = {}
        self.texts: dict[str, bytes] = {}

    def text(self, extension: str) -> str | Reject:
        if extension not in self.texts:
            return Reject("caption_too_large", self.members[extension].size, MAX_CAPTION)
        try:
            return self.texts[extension].decode()
        except UnicodeDecodeError as error:
            return Reject("bad_text", str(error))

    def json(self, extension: str) -> dict[str, Any] | Reject | None:
        """The object in a JSON member; None if there is no such member."""
        if extension not in self.members:
            return None
        if extension not in self.texts:
            return Reject("json_too_large", self.members[extension].size, MAX_JSON)
        return json_object(self.texts[extension])


class _Table:
    """The rows of img2dataset's parquet by key; read when the first one is asked for."""

    def __init__(self, uri: str | None) -> None:
        self.uri = uri

    def row(self, key: str) -> dict[str, Any]:
        """What the table says of a key; nothing if it does not know it or there is no table."""
        return self._rows.get(key, {})

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        if self.uri is None:
            return {}
        try:
            # Fetched whole: pyarrow's threads may hold on to a Python file when the interpreter ends.
            rows = pq.read_table(pa.BufferReader(files.read(self.uri, MAX_TABLE))).to_pylist()
        except (pa.ArrowException, ValueError, OSError) as error:
            raise UserError(
                f"{self.uri}, which lies beside a tar, cannot be read: {error}. Mend it or move it away."
            ) from error
        return {row["key"]: row for row in rows if isinstance(row.get("key"), str)}


def _image_id(metadata: dict[str, Any] | Reject) -> str | None:
    told = metadata.get("image_id") if isinstance(metadata, dict) else None
    return safe_key(str(told)) if isinstance(told, (str, int)) and told != "" else None


def _stem(tar: File) -> str:
    return tar.uri.removesuffix(".tar")


def _neighbours(tars: list[File]) -> dict[str, File]:
    """Everything that lies beside the tars, by URI."""
    folders = dict.fromkeys(posixpath.dirname(tar.uri) for tar in tars)
    return {file.uri: file for folder in folders for file in files.children(folder).values()}


def _successes(stats: bytes | OSError) -> int | None:
    """How many samples img2dataset says it wrote; None if the file does not say so."""
    fields = json_object(stats) if isinstance(stats, bytes) else stats
    count = fields.get("successes") if isinstance(fields, dict) else None
    return count if isinstance(count, int) else None


def _limit(extension: str) -> int:
    return MAX_JSON if extension.endswith("json") else MAX_CAPTION

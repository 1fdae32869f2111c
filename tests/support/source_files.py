"""What tests of sources write to disk, and what they ask of every source."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from gritmill.pipeline.sources.base import Source
from gritmill.pipeline.sources.images import StoredImage
from gritmill.schemas.columns import Columns, ImageRef, Reject, to_arrow

CAPTIONS = [
    "a dog in a field",
    "a 🐕‍🦺 and a 👩🏽‍🚀 in a café",  # emoji of several code points, a combining accent
    "כלב בשדה مع قطة",  # right to left
    "<b>{braces}</b> & \\slashes\\",
]
"""Texts whose characters must come through as they are."""


def jpeg(shade: int, size: tuple[int, int] = (16, 12)) -> bytes:
    """A small real JPEG; each shade gives other bytes."""
    out = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 90)).save(out, "JPEG")
    return out.getvalue()


def tar_bytes(members: list[tuple[str, bytes]] | Mapping[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as tar:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def shard(captions: list[str], start: int = 0) -> dict[str, bytes]:
    """The members of a shard as img2dataset writes it."""
    found = {}
    for number, caption in enumerate(captions, start):
        key = f"{number:09d}"
        found[f"{key}.jpg"] = jpeg(number)
        found[f"{key}.txt"] = caption.encode()
        found[f"{key}.json"] = json.dumps({"url": f"http://x/{key}", "caption": caption, "key": key}).encode()
    return found


def read_all(source: Source) -> Columns:
    """Every row of a source; fails if it is not what a source must give."""
    assert source.problems() == []
    columns: Columns = {name: [] for name in source.provides()}
    parts = list(source.parts())
    assert parts == list(source.parts())
    assert len({json.dumps(part, sort_keys=True) for part in parts}) == len(parts)
    for part in parts:
        found = source.read(json.loads(json.dumps(part)))
        assert found == source.read(part)
        assert list(found) == list(columns)
        assert len({len(values) for values in found.values()}) == 1
        for name, values in found.items():
            columns[name] += values
    for name, type_ in source.provides().items():
        to_arrow([None if isinstance(value, Reject) else value for value in columns[name]], type_)
    for row in rejects(columns).values():
        f"{row.reason} {row.value} {row.threshold}".encode()
    return columns


def rejects(columns: Columns) -> dict[str, Reject]:
    """The first reason of each row that has one, by key."""
    found: dict[str, Reject] = {}
    for i, key in enumerate(columns["key"]):
        for values in columns.values():
            if isinstance(values[i], Reject):
                found.setdefault(key, values[i])
    return found


def reasons(columns: Columns) -> dict[str, str]:
    return {key: reject.reason for key, reject in rejects(columns).items()}


def kept(columns: Columns) -> list[tuple[str, str]]:
    """Key and caption of the rows that were not rejected."""
    return [
        (columns["key"][i], columns["caption"][i])
        for i in range(len(columns["key"]))
        if not any(isinstance(values[i], Reject) for values in columns.values())
    ]


def image_bytes(columns: Columns) -> list[bytes]:
    return [StoredImage(ref).read() for ref in columns["image"] if isinstance(ref, ImageRef)]


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path

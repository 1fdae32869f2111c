"""Shards as webdataset reads them: for each sample the untouched image, its record and its caption."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from pipeline.output.tar import TarWriter
from schemas.records import Record, to_json, to_record

MAX_STEM = 90
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_STEM}}}")


class WebdatasetWriter:
    """`000373938.jpg`, `000373938.json` (see `schemas/records.py`), `000373938.txt` (the caption).

    The same members in the same order for every sample, nothing after the caption's last character.
    """

    def __init__(self, file: BinaryIO, extension: str) -> None:
        self._tar = TarWriter(file)
        self._extension = extension

    def add(self, sample: Mapping[str, Any], image: bytes) -> None:
        self.add_record(to_record(sample), image)

    def add_record(self, record: Record, image: bytes) -> None:
        """Appends the members of a record."""
        stem = member_stem(record["key"])
        self._tar.add(
            (f"{stem}.{self._extension}", image),
            (f"{stem}.json", to_json(record)),
            (f"{stem}.txt", record["caption"].encode()),
        )

    def close(self) -> None:
        self._tar.close()


def member_stem(key: str) -> str:
    """What a sample's members are called before the dot; for most keys the key itself.

    Readers take everything after a name's first dot for the extension, and `tar x` takes slashes for
    folders, so all but letters, digits, `_`, `-` and `~` is percent-encoded, and the end of a long
    result gives way to a digest. Different keys stay different; the record holds the key as it is.

    >>> member_stem("../évian.v2")
    '%2E%2E%2F%C3%A9vian%2Ev2'
    """
    if _PLAIN.fullmatch(key):
        return key
    if not key:
        raise ValueError("a sample has an empty key")
    stem = quote(key, safe="").replace(".", "%2E")
    if len(stem) > MAX_STEM:
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        stem = f"{stem[: MAX_STEM - 1 - len(digest)]}-{digest}"
    return stem

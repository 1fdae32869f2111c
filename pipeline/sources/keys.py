"""Keys: names of samples that are safe in a tar, in a file name and for webdataset."""

import hashlib
import posixpath
import re
from collections.abc import Sequence

from gritmill.schemas.public import without_secrets

MAX_KEY = 100
"""Longest key of an image; the number of a caption may follow it."""

_SAFE = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_KEY}}}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def safe_key(text: str) -> str:
    """A key that stays what it is if it is safe, and else is cleaned and told apart by a digest.

    webdataset cuts names at the first dot and at slashes, so neither may be in a key.

    >>> safe_key("000012345"), safe_key("cats/0001.a")
    ('000012345', 'cats-0001-a-6e9772d27863ae4d')
    """
    if _SAFE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    readable = _UNSAFE.sub("-", text[:MAX_KEY]).strip("-")[: MAX_KEY - len(digest) - 1]
    return f"{readable}-{digest}" if readable else digest


def distinct_names(uris: Sequence[str]) -> list[str]:
    """A short name for each file: its last path steps, as many as tell the files apart.

    They do not depend on where the files lie, so that keys made of them survive a move.

    >>> distinct_names(["data/en/0000.parquet", "data/fr/0000.parquet"])
    ['en/0000', 'fr/0000']
    """
    stems = [posixpath.splitext(without_secrets(uri))[0].split("/") for uri in uris]
    deepest = max((len(steps) for steps in stems), default=1)
    for depth in range(1, deepest):
        names = ["/".join(steps[-depth:]) for steps in stems]
        if len(set(names)) == len(names):
            return names
    return ["/".join(steps) for steps in stems]

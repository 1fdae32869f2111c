"""What of a run may be shown to others: folders of the machine, keys and passwords stay at home."""

import functools
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
_SECRET = re.compile(r"(^|_)(api_key|token|secret|password)$")
_LOCAL = re.compile(r"(/|~|file:|[A-Za-z]:[\\/])")


def public(value: Any, key: str = "") -> Any:
    """Plain data, such as a recipe, as others may read it.

    >>> public({"images": "/home/ann/photos/", "url": "https://ann:pw@host/a.tar?sig=1"})
    {'images': '.../photos', 'url': 'https://host/a.tar'}
    """
    if isinstance(value, Mapping):
        return {public_text(str(name)): public(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [public(item, key) for item in value]
    if not isinstance(value, str):
        return value
    return HIDDEN if _SECRET.search(key) else public_text(value)


@functools.lru_cache(maxsize=4096)  # records repeat the names of few tars and models
def public_text(text: str) -> str:
    """An absolute local path -> its last name; a URL -> the same without user, password and query.

    Whatever is neither, a relative path, too, stays as it is.

    >>> public_text("/home/ann/laion/00037.tar")
    '.../00037.tar'
    """
    if "://" in text and not text.startswith("file:"):
        try:
            parts = urlsplit(text)
        except ValueError:
            return HIDDEN
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))
    if _LOCAL.match(text):
        return ".../" + re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return text


def is_private(text: str) -> bool:
    """True for a text that names a place on this machine."""
    return "://" not in text.removeprefix("file://") and bool(_LOCAL.match(text))

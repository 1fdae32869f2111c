"""What the members of a sample are called in a tar, and in folders of images that somebody unpacks."""

import hashlib
import re
from urllib.parse import quote

MAX_STEM = 90
_PLAIN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_STEM}}}")


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

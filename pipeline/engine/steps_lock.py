"""Versions of our own steps, each with the digest of the code that it was written for.

    gritmill.stages.select_boxes:SelectBoxes 1 5f0c2d917ac3b4e8

An edit that changes no result keeps the version, so that nothing is done again; one that does raises it.
`make lock` writes the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("steps.lock")


class Line(NamedTuple):
    """What the lock says of a step."""

    version: str
    digest: str


def read(text: str) -> dict[str, Line]:
    """The content of the file -> its lines by target."""
    lines = (line.split() for line in text.splitlines() if line.strip())
    return {target: Line(version, digest) for target, version, digest in lines}


def written(lines: Mapping[str, Line]) -> str:
    """Lines by target -> the content of the file."""
    return "".join(f"{target} {line.version} {line.digest}\n" for target, line in sorted(lines.items()))


LOCK = read(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}

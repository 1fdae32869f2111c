"""Prompt texts and word lists as plain files, and the one loader that reads and hashes them."""

import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def word_list(name: str) -> tuple[str, ...]:
    """The lines of `prompts/<name>.txt`, without blank lines and `#` comments.

    >>> word_list("abstract_nouns")[:3]
    ('time', 'life', 'love')
    """
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@cache
def text(name: str) -> str:
    """The whole of `prompts/<name>.txt`.

    >>> text("judge/relative").partition(";")[0]
    'You grade two answers to a question about an image. You cannot see the image'
    """
    return (HERE / f"{name}.txt").read_text(encoding="utf-8")


@cache
def digest(name: str) -> str:
    """Short SHA-256 of a list's file, part of the identity of every stage that reads it."""
    return hashlib.sha256((HERE / f"{name}.txt").read_bytes()).hexdigest()[:16]

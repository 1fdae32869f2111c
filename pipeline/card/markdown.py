"""Text that others wrote, as Markdown shows it and does not obey it."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from gritmill.pipeline.stats.table import printable

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#!])")
_NUMBER = re.compile(r"[0-9,.]+%?|-")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """Any text on one line, shown as it is.

    >>> plain("<b>a_b</b>")
    '&lt;b&gt;a\\\\_b&lt;/b&gt;'
    """
    return _SPECIAL.sub(r"\\\1", printable(" ".join(text.split())).translate(_ENTITIES))


def code(text: str) -> str:
    """Any text on one line in a code span, within a table, too."""
    line = printable(" ".join(text.split())).replace("|", "\\|") or " "
    ticks = _longer_than_any(line, 1)
    return f"{ticks} {line} {ticks}" if "`" in line else f"{ticks}{line}{ticks}"


def block(text: str, language: str = "") -> str:
    """Any text in a code block, which nothing in it ends."""
    ticks = _longer_than_any(text, 3)
    return f"{ticks}{language}\n{text.strip()}\n{ticks}"


def link(text: str, url: str) -> str:
    """Markdown, such as `plain` and `code` give, that leads to any URL."""
    return f"[{text}]({_address(url)})"


def picture(alt: str, path: str) -> str:
    """An image that lies beside the card, with any text for those who do not see it."""
    return f"![{plain(alt)}]({_address(path)})"


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first, those of equal frequency by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of Markdown, the header first; columns of nothing but numbers to the right."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    columns = zip(*rows[1:], strict=True)
    rules = ["---:" if all(map(_NUMBER.fullmatch, column)) else "---" for column in columns]
    return "\n".join([head, f"|{'|'.join(rules or ['---'] * len(rows[0]))}|", *body])


def _address(url: str) -> str:
    """Without what would end it: brackets, quotes, spaces."""
    return quote(url, safe=":/?#@!$&*+,;=%~")


def _longer_than_any(text: str, least: int) -> str:
    return "`" * max([least, *(len(run) + 1 for run in re.findall("`+", text))])

"""Templates such as "[{}, {}, {}, {}]": filled to write, turned into a regular expression to read.

Models write anything, so that each expression scans in linear time: repeats are bounded or possessive.
"""

import re
from collections.abc import Sequence

# Fifteen digits are more than any coordinate has; what is longer is no number and costs nothing.
NUMBER = r"[-+]?[0-9]{1,15}(?:\.[0-9]{0,15})?"


def fill(template: str, numbers: Sequence[str]) -> str:
    """Each `{}` becomes a number; other braces stand for themselves, unlike in `str.format`.

    "{<{}><{}>}", ["1", "2"] -> "{<1><2>}"
    """
    first, *rest = template.split("{}")
    return first + "".join(number + part for number, part in zip(numbers, rest, strict=True))


def box_pattern(template: str) -> str:
    r"""A template -> a regular expression that captures its numbers, with white space where it may be.

    "[{}, {}]" -> `\[\s*+(N)\s*+,\s*+(N)\s*+\]`
    """
    return rf"\s*+({NUMBER})\s*+".join(literal_pattern(part) for part in template.split("{}"))


def literal_pattern(literal: str) -> str:
    """A literal, with any white space where it has some and between tags."""
    return r"\s*+".join(re.escape(word) for word in literal.replace("><", "> <").split())


TAG = r"<[^<>]{1,60}>"
"""Any tag. Models write those of their chat templates as well; none of them is part of a caption."""

CUT_TAG = r"<[^<>\s]{0,40}\Z"
CUT_LIST = r"\[[-0-9\s.,;]*+\Z"
"""What is left where the last box ran into the limit of new tokens."""

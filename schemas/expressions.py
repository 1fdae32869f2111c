"""What the words of a caption say about boxes: definite forms, and expressions that mean one box only."""

from collections.abc import Iterable, Iterator

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span

ARTICLES = ("a", "an", "the")
POINTERS = ("his", "her", "its", "their", "my", "your", "our", "this", "that", "these", "those")
"""Determiners that mean nothing without the rest of the caption."""
NOT_AFTER_THE = ("lot", "few", "bit", "number", "variety", "own", "single", "different", "similar")
""""a lot of sheep", "her own dog": "the" does not fit, or means something else."""


def unique_expressions(caption: str, expressions: Iterable[tuple[Span, Box]]) -> Iterator[tuple[str, Box]]:
    """The expressions that mean one box, whatever determiner they are given, in their order.

    >>> list(unique_expressions("a dog and the dog", [(Span(0, 5), box), (Span(10, 17), other)]))
    []
    """
    found: dict[str, tuple[str, list[Box]]] = {}
    for span, box in expressions:
        expression = in_line(span.of(caption))
        meaning = (as_definite(expression) or expression).casefold()
        found.setdefault(meaning, (expression, []))[1].append(box)
    for expression, boxes in found.values():
        if len(set(boxes)) == 1:
            yield expression, boxes[0]


def as_definite(expression: str) -> str | None:
    """An expression as one speaks of what both can see; None where its first word allows no "the".

    >>> as_definite("A dog in a field"), as_definite("her dog"), as_definite("Dogs running")
    ('the dog in a field', 'the dog', None)
    """
    first, _, rest = expression.partition(" ")
    following = rest.partition(" ")[0].lower()
    if first.lower() not in (*ARTICLES, *POINTERS) or not following or following in NOT_AFTER_THE:
        return None
    return f"the {rest}"


def in_line(text: str) -> str:
    """Text on one line, with single spaces."""
    return " ".join(text.split())

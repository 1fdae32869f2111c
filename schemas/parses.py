"""Arithmetic on a dependency parse."""

from collections.abc import Iterator

from gritmill.schemas.columns import Parse, Span


def tokens_in(parse: Parse, span: Span) -> list[int]:
    """Indices of the tokens that lie in the span."""
    return [
        i
        for i, (start, end) in enumerate(zip(parse.starts, parse.ends, strict=True))
        if start >= span.start and end <= span.end
    ]


def root_of(parse: Parse, span: Span) -> int:
    """The token that the rest of the span hangs on: `dog` of "a brown dog". -1 for an empty span."""
    inside = tokens_in(parse, span)
    members = set(inside)
    for i in inside:
        if parse.heads[i] == i or parse.heads[i] not in members:
            return i
    return -1


def children(parse: Parse, token: int) -> Iterator[int]:
    """The tokens that depend on this one, left to right."""
    return (i for i, head in enumerate(parse.heads) if head == token and i != token)

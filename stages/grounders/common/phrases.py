"""Phrases on their way into a detector: spelled as it was trained, fitted to its limit, packed."""

from collections.abc import Callable, Sequence

CountTokens = Callable[[str], int]


def spelled(phrase: str, delimiters: str = "") -> str:
    """Lower case, single blanks, and without the marks that would end the phrase for the model.

    >>> spelled("St. Bernard  Dog", delimiters=".?")
    'st bernard dog'
    """
    for mark in delimiters:
        phrase = phrase.replace(mark, " ")
    return " ".join(phrase.lower().split())


def fitted(phrase: str, count: CountTokens, limit: int) -> str:
    """The phrase with no more than `limit` tokens; empty if not even its last word fits.

    Leading words go first, because the head of an English noun chunk is its last word:
    "the very first big brown dog" -> "big brown dog".
    """
    words = phrase.split()[-limit:]  # a word has at least one token
    while words and count(" ".join(words)) > limit:
        del words[0]
    return " ".join(words)


def packed(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Indices of the phrases of each prompt, in order, so that no prompt has more than `limit` tokens.

    >>> packed([3, 4, 2, 5], limit=8)
    [[0, 1], [2, 3]]
    """
    prompts: list[list[int]] = []
    room = -1
    for i, size in enumerate(sizes):
        if size > room:
            prompts.append([])
            room = limit
        prompts[-1].append(i)
        room -= size
    return prompts


def joined(phrases: Sequence[str], end: str, gap: str) -> tuple[str, list[tuple[int, int]]]:
    """One text of all phrases, and where in it each lies.

    >>> joined(["a dog", "a field"], end=".", gap=" ")
    ('a dog. a field.', [(0, 5), (7, 14)])
    """
    text, spans = "", []
    for phrase in phrases:
        text += gap if text else ""
        spans.append((len(text), len(text) + len(phrase)))
        text += phrase + end
    return text, spans


def tokens_within(offsets: Sequence[tuple[int, int]], start: int, end: int) -> list[int]:
    """Positions of the tokens that lie in `[start, end)`; padding and special tokens have no width."""
    return [i for i, (s, e) in enumerate(offsets) if start <= s < e <= end]

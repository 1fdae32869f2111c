"""Grounded noun chunks -> referring expressions, by arithmetic on the dependency parse."""

from collections.abc import Iterable, Iterator
from typing import Literal

from gritmill.schemas.columns import Columns, GroundedBox, Parse, Span
from gritmill.schemas.parses import root_of
from gritmill.stages.base import Stage

OPENERS = {")": "(", "]": "[", "}": "{", "»": "«", "”": "“", "’": "‘", '"': '"', "'": "'"}
"""What each closing bracket or quote was opened by."""

NO_BEGINNING = ("PUNCT", "SPACE", "CCONJ")
NO_END = ("SPACE", "CCONJ", "SCONJ", "DET", "PART")
"""Words that wait for another: "and", "while", "the", "to"; also a possessive that lost its noun."""


class ReferringExpressions(Stage):
    """Noun chunk of a box -> the whole phrase that it heads; `ref_exps[i]` is that of `boxes[i]`.

    "a dog in a field of flowers": Span(0, 5) -> Span(0, 27), Span(9, 16) -> Span(9, 27)

    The rules are those of Kosmos-2 (section 3 of the paper): a chunk grows over everything that hangs
    on its head in the dependency tree; one that is part of a coordination ("a dog and a cat") stays as
    it is, and so does one on which nothing hangs. Our own additions: where the tree jumps words, only
    the run of words around the chunk is taken, and no expression begins or ends with punctuation, a
    conjunction, article or preposition left hanging. An expression always contains its chunk.
    """

    reads = ("caption", "parse", "boxes")
    writes = {"boxes": list[GroundedBox], "ref_exps": list[Span]}
    offsets_into = {"boxes": "caption", "ref_exps": "caption"}
    aligned_with = {"ref_exps": "boxes"}

    containment: Literal["all", "outermost", "short"] = "all"
    """`all` keeps expressions within expressions, as GRIT was released; `outermost` drops a box whose
    expression lies within a different one, as Kosmos-2 trains; `short` leaves chunks unexpanded, so that
    none overlap, as Qwen-VL cleaned GRIT (QwenLM/Qwen-VL, issue 24)."""

    def process(self, batch: Columns) -> Columns:
        rows = zip(batch["caption"], batch["parse"], batch["boxes"], strict=True)
        kept = [self._row(caption, parse, boxes) for caption, parse, boxes in rows]
        return {"boxes": [boxes for boxes, _ in kept], "ref_exps": [spans for _, spans in kept]}

    def _row(
        self, caption: str, parse: Parse, boxes: list[GroundedBox]
    ) -> tuple[list[GroundedBox], list[Span]]:
        if self.containment == "short":
            return boxes, [box.span for box in boxes]
        chunks = dict.fromkeys(box.span for box in boxes)
        expression = {chunk: expand(caption, parse, chunk) for chunk in chunks}
        if self.containment == "outermost":
            outer = _outermost(expression.values())
            boxes = [box for box in boxes if expression[box.span] in outer]
        return boxes, [expression[box.span] for box in boxes]


def _outermost(spans: Iterable[Span]) -> set[Span]:
    """The spans that lie within no other; equal spans are one."""
    distinct = set(spans)
    return {span for span in distinct if not any(o.contains(span) for o in distinct - {span})}


def expand(caption: str, parse: Parse, chunk: Span) -> Span:
    """The span of everything that depends on the chunk's head, if the published rules allow it.

    >>> expand("a dog in a field", parse, Span(0, 5))
    Span(start=0, end=16)
    """
    head = root_of(parse, chunk)
    if head < 0 or _is_coordinated(parse, head):
        return chunk
    subtree = _subtree(parse, head)
    first = last = head
    while first > 0 and (first - 1 in subtree or parse.starts[first] > chunk.start):
        first -= 1
    while last + 1 < len(parse.starts) and (last + 1 in subtree or parse.ends[last] < chunk.end):
        last += 1
    while parse.starts[first] < chunk.start and parse.tags[first] in NO_BEGINNING:
        first += 1
    while parse.ends[last] > chunk.end and _dangles(caption, parse, first, last):
        last -= 1
    return Span(min(chunk.start, parse.starts[first]), max(chunk.end, parse.ends[last]))


def _is_coordinated(parse: Parse, token: int) -> bool:
    """True for every member of "a dog, a cat and a bird", the first as well as the others.

    Parsers often take the second for an apposition of the first; one that is coordinated is none.
    """
    if parse.deps[token] == "conj":
        return True
    return any(
        dep == "conj" or (dep == "appos" and _is_coordinated(parse, child))
        for child, dep in _children(parse, token)
    )


def _children(parse: Parse, token: int) -> Iterator[tuple[int, str]]:
    """Each token that depends on this one, and how."""
    pairs = enumerate(zip(parse.heads, parse.deps, strict=True))
    return ((child, dep) for child, (head, dep) in pairs if head == token and child != token)


def _subtree(parse: Parse, root: int) -> set[int]:
    """The token with its children, their children and so on."""
    children: dict[int, list[int]] = {}
    for token, head in enumerate(parse.heads):
        children.setdefault(head, []).append(token)
    found, waiting = {root}, [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def _dangles(caption: str, parse: Parse, first: int, last: int) -> bool:
    """True if no expression that begins with the token `first` may end with `last`."""
    # An adposition may be a verb's particle: "a plane taking off".
    if parse.tags[last] in NO_END or (parse.tags[last] == "ADP" and parse.deps[last] != "prt"):
        return True
    return parse.tags[last] == "PUNCT" and not _closes(
        caption[parse.starts[last] : parse.ends[last]], caption[parse.starts[first] : parse.starts[last]]
    )


def _closes(mark: str, text: str) -> bool:
    """True for a bracket or quote that was opened in the text: `_closes(")", "a man (left")`."""
    opener = OPENERS.get(mark)
    if opener is None:
        return False
    if opener == mark:
        return text.count(mark) % 2 == 1
    return text.count(opener) > text.count(mark)

"""Grounded noun chunks -> referring expressions, by the caption's dependency tree."""

from typing import Literal

from schemas.columns import Columns, GroundedBox, Parse, Span
from schemas.parses import children, root_of, tokens_in
from stages.base import Stage

_LOOSE_ENDS = {"PUNCT", "CCONJ", "SPACE", "ADP", "SCONJ", "PART"}
_CLOSERS = {")": "(", "]": "[", "}": "{", '"': '"', "”": "“", "’": "‘", "»": "«"}


class ReferringExpressions(Stage):
    """Grounded noun chunks -> the expressions that single out what they name; boxes stay theirs.

    "a dog in a field of flowers", all three chunks grounded ->
        [Span(0, 27), Span(11, 27), Span(20, 27)] and the three boxes

    Step 2 of GRIT (Kosmos-2, arXiv 2306.14824, section 2.1): a chunk grows over the tokens that depend
    on its head, at any depth. A chunk with conjuncts does not grow ("a dog and a cat" stay two), nor
    does one on which nothing depends. Where the subtree has gaps, the run of tokens around the chunk
    counts, so that an expression is always a piece of the caption. Punctuation, conjunctions and
    prepositions at its ends are cut off. `boxes` and `ref_exps` are parallel.
    """

    reads = ("caption", "parse", "boxes")
    writes = {"boxes": list[GroundedBox], "ref_exps": list[Span]}

    containment: Literal["all", "outermost", "short"] = "all"
    """What to do with expressions inside others. `all` keeps them, as the released GRIT does;
    `outermost` drops them with their boxes, as Kosmos-2's loader does when it trains; `short` takes
    the bare noun chunks, which never overlap, as Qwen-VL did when it cleaned GRIT (QwenLM/Qwen-VL,
    issue 24)."""

    def process(self, batch: Columns) -> Columns:
        boxes_out: list[list[GroundedBox]] = []
        expressions_out: list[list[Span]] = []
        for caption, parse, boxes in zip(batch["caption"], batch["parse"], batch["boxes"], strict=True):
            if self.containment == "short":
                expressions = {box.span: box.span for box in boxes}
            else:
                expressions = {box.span: expand(caption, parse, box.span) for box in boxes}
            if self.containment == "outermost":
                boxes = [box for box in boxes if _is_outermost(expressions[box.span], expressions)]
            boxes_out.append(boxes)
            expressions_out.append([expressions[box.span] for box in boxes])
        return {"boxes": boxes_out, "ref_exps": expressions_out}


def expand(caption: str, parse: Parse, chunk: Span) -> Span:
    """A noun chunk -> its referring expression, which contains it."""
    root = root_of(parse, chunk)
    inside = tokens_in(parse, chunk)
    if root < 0 or _has_conjuncts(parse, root):
        return chunk
    subtree = _subtree(parse, root)
    first, last = inside[0], inside[-1]
    while first - 1 in subtree:
        first -= 1
    while last + 1 in subtree:
        last += 1
    while first < inside[0] and _is_loose(caption, parse, first):
        first += 1
    while last > inside[-1] and _is_loose(caption, parse, last) and not _closes(caption, parse, first, last):
        last -= 1
    return Span(min(parse.starts[first], chunk.start), max(parse.ends[last], chunk.end))


def _has_conjuncts(parse: Parse, token: int) -> bool:
    return parse.deps[token] == "conj" or any(parse.deps[child] == "conj" for child in children(parse, token))


def _subtree(parse: Parse, root: int) -> set[int]:
    found: set[int] = set()
    waiting = [root]
    while waiting:
        token = waiting.pop()
        if token not in found:
            found.add(token)
            waiting.extend(children(parse, token))
    return found


def _is_loose(caption: str, parse: Parse, token: int) -> bool:
    """True if an expression should neither begin nor end with this token: "and", "of", ",", an emoji."""
    word = caption[parse.starts[token] : parse.ends[token]]
    return parse.tags[token] in _LOOSE_ENDS or not any(map(str.isalnum, word))


def _closes(caption: str, parse: Parse, first: int, last: int) -> bool:
    """True if the last token is a bracket or quote that closes one of the same expression."""
    opener = _CLOSERS.get(caption[parse.starts[last] : parse.ends[last]])
    return opener is not None and opener in caption[parse.starts[first] : parse.starts[last]]


def _is_outermost(expression: Span, expressions: dict[Span, Span]) -> bool:
    return not any(other != expression and other.contains(expression) for other in expressions.values())

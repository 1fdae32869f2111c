from functools import cache

import pytest

from schemas.boxes import Box
from schemas.columns import GroundedBox, Parse, Span
from stages.noun_chunks import NounChunks
from stages.referring_expressions import ReferringExpressions, expand

BOX = Box(0.1, 0.1, 0.5, 0.5)


@cache
def parser() -> NounChunks:
    stage = NounChunks()
    stage.setup()
    return stage


def parsed(caption: str) -> tuple[list[Span], Parse]:
    out = parser().process({"caption": [caption]})
    return out["noun_chunks"][0], out["parse"][0]


def grounded(span: Span) -> GroundedBox:
    return GroundedBox(span, BOX, 0.9, "test", "x")


def expressions(caption: str, containment: str, only: list[str] | None = None) -> list[str]:
    """The expressions of a caption whose chunks (or only some) are grounded."""
    chunks, parse = parsed(caption)
    boxes = [grounded(chunk) for chunk in chunks if only is None or chunk.of(caption) in only]
    stage = ReferringExpressions(containment=containment)  # type: ignore[arg-type]
    out = stage.process({"caption": [caption], "parse": [parse], "boxes": [boxes]})
    assert len(out["boxes"][0]) == len(out["ref_exps"][0])
    for box, expression in zip(out["boxes"][0], out["ref_exps"][0], strict=True):
        assert expression.contains(box.span)
    return [span.of(caption) for span in out["ref_exps"][0]]


@pytest.mark.parametrize(
    ("caption", "all_of_them"),
    [
        ("a dog in a field of flowers", ["a dog in a field of flowers", "a field of flowers", "flowers"]),
        ("A dog and a cat.", ["A dog", "a cat"]),
        ("A man riding a wave.", ["A man riding a wave", "a wave"]),
        ("The dog that is sleeping is brown.", ["The dog that is sleeping"]),
        ("a dog", ["a dog"]),
        ("🐕 a dog in a field 🌼", ["a dog in a field", "a field"]),
    ],
)
def test_chunks_grow_by_the_published_rules(caption: str, all_of_them: list[str]) -> None:
    assert expressions(caption, "all") == all_of_them


@pytest.mark.parametrize(
    ("containment", "expected"),
    [
        ("all", ["a dog in a field of flowers", "a field of flowers", "flowers"]),
        ("outermost", ["a dog in a field of flowers"]),
        ("short", ["a dog", "a field", "flowers"]),
    ],
)
def test_what_becomes_of_nested_expressions(containment: str, expected: list[str]) -> None:
    assert expressions("a dog in a field of flowers", containment) == expected


def test_an_inner_expression_stays_if_the_outer_chunk_has_no_box() -> None:
    caption = "a dog in a field of flowers"
    assert expressions(caption, "outermost", only=["a field", "flowers"]) == ["a field of flowers"]


def test_boxes_of_one_chunk_stay_together() -> None:
    chunks, parse = parsed("two dogs in a field")
    boxes = [grounded(chunks[0]), grounded(chunks[0]), grounded(chunks[1])]
    batch = {"caption": ["two dogs in a field"], "parse": [parse], "boxes": [boxes]}
    out = ReferringExpressions(containment="outermost").process(batch)
    assert out["ref_exps"] == [[Span(0, 19), Span(0, 19)]]
    assert out["boxes"] == [boxes[:2]]


# The record that Kosmos-2's authors show of the released set, with its parse written out by hand:
# the chunks [0, 13] and [19, 32] have the expressions [0, 66] and [19, 66].
RELEASED = "a wire hanger with a paper cover that reads we heart our customers"
HEADS = [2, 2, 2, 2, 6, 6, 3, 8, 6, 10, 8, 12, 10]
DEPS = "det compound ROOT prep det compound pobj nsubj relcl nsubj ccomp poss dobj".split()
TAGS = "DET NOUN NOUN ADP DET NOUN NOUN PRON VERB PRON VERB PRON NOUN".split()


def by_hand(caption: str, heads: list[int], deps: list[str], tags: list[str]) -> Parse:
    starts, ends, position = [], [], 0
    for word in caption.split(" "):
        starts.append(position)
        ends.append(position + len(word))
        position += len(word) + 1
    return Parse(starts, ends, heads, deps, tags, caption.split(" "))


@pytest.mark.parametrize(("chunk", "expected"), [((0, 13), (0, 66)), ((19, 32), (19, 66))])
def test_the_released_record_comes_out(chunk: tuple[int, int], expected: tuple[int, int]) -> None:
    parse = by_hand(RELEASED, HEADS, DEPS, TAGS)
    assert expand(RELEASED, parse, Span(*chunk)) == Span(*expected)


@pytest.mark.parametrize(
    ("caption", "heads", "deps", "tags", "chunk", "expected"),
    [
        ("a dog , and", [1, 1, 1, 1], "det ROOT punct cc", "DET NOUN PUNCT CCONJ", "a dog", "a dog"),
        ("a dog with", [1, 1, 1], "det ROOT prep", "DET NOUN ADP", "a dog", "a dog"),
        (
            "a sign ( red )",
            [1, 1, 3, 1, 3],
            "det ROOT punct appos punct",
            "DET NOUN PUNCT ADJ PUNCT",
            "a sign",
            "a sign ( red )",
        ),
        # "a hearing is scheduled on the issue": what depends on the head, but far away, stays out.
        (
            "a hearing is set on noise",
            [1, 3, 3, 3, 1, 4],
            "det nsubjpass auxpass ROOT prep pobj",
            "DET NOUN AUX VERB ADP NOUN",
            "a hearing",
            "a hearing",
        ),
    ],
)
def test_ends_and_gaps(
    caption: str, heads: list[int], deps: str, tags: str, chunk: str, expected: str
) -> None:
    parse = by_hand(caption, heads, deps.split(), tags.split())
    assert expand(caption, parse, Span(0, len(chunk))).of(caption) == expected


def test_a_parse_with_a_circle_ends() -> None:
    parse = by_hand("a b", [1, 0], ["dep", "dep"], ["NOUN", "NOUN"])
    assert expand("a b", parse, Span(0, 1)).of("a b") == "a b"

import json

import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, GroundedBox, Parse, Reject, Span
from gritmill.stages.noun_chunks import NounChunks
from gritmill.stages.referring_expressions import ReferringExpressions, expand

BOX = Box(0.1, 0.2, 0.5, 0.9)


def parse_of(rows: str) -> tuple[str, Parse]:
    """Rows of word:head:label:tag, such as `a:1:det:DET dog:1:ROOT:NOUN` -> "a dog" and its parse."""
    tokens = [row.split(":") for row in rows.split()]
    words = [token[0] for token in tokens]
    starts = [len(" ".join([*words[:i], ""])) for i in range(len(words))]
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    heads, deps, tags = [int(t[1]) for t in tokens], [t[2] for t in tokens], [t[3] for t in tokens]
    return " ".join(words), Parse(starts, ends, heads, deps, tags, words)


def grounded(span: Span, score: float = 0.9) -> GroundedBox:
    return GroundedBox(span, BOX, score, "model@rev", "phrase")


HANGER = parse_of(
    "a:2:det:DET wire:2:compound:NOUN hanger:2:ROOT:NOUN with:2:prep:ADP a:6:det:DET paper:6:compound:NOUN "
    "cover:3:pobj:NOUN that:8:nsubj:PRON reads:6:relcl:VERB we:10:nsubj:PRON heart:8:ccomp:VERB "
    "our:12:poss:PRON customers:10:dobj:NOUN"
)
FIELD = parse_of(
    "a:1:det:DET dog:1:ROOT:NOUN in:1:prep:ADP "
    "a:4:det:DET field:2:pobj:NOUN of:4:prep:ADP flowers:5:pobj:NOUN"
)
PAIR = parse_of(
    "a:1:det:DET dog:1:ROOT:NOUN and:1:cc:CCONJ a:4:det:DET cat:1:conj:NOUN "
    "on:4:prep:ADP a:7:det:DET sofa:5:pobj:NOUN"
)
LIST = parse_of(
    "a:1:det:DET dog:1:ROOT:NOUN ,:1:punct:PUNCT a:4:det:DET cat:1:appos:NOUN and:4:cc:CCONJ "
    "a:7:det:DET bird:4:conj:NOUN"
)
"""As en_core_web_sm sees most lists of three."""
LONG_LIST = parse_of(
    "a:1:det:DET dog:1:ROOT:NOUN ,:1:punct:PUNCT a:4:det:DET cat:1:appos:NOUN ,:4:punct:PUNCT "
    "a:7:det:DET cow:4:appos:NOUN and:7:cc:CCONJ a:10:det:DET bird:7:conj:NOUN"
)
NAMED = parse_of("a:1:det:DET dog:1:ROOT:NOUN ,:1:punct:PUNCT the:4:det:DET hero:1:appos:NOUN")


def test_the_record_of_the_released_grit():
    """caption, noun_chunks and ref_exps of key 000373938."""
    caption, parse = HANGER
    assert caption == "a wire hanger with a paper cover that reads we heart our customers"
    batch: Columns = {
        "caption": [caption],
        "parse": [parse],
        "boxes": [[grounded(Span(19, 32)), grounded(Span(0, 13))]],
    }
    result = ReferringExpressions().process(batch)
    assert result == {"boxes": batch["boxes"], "ref_exps": [[Span(19, 66), Span(0, 66)]]}


@pytest.mark.parametrize(
    ("caption_and_parse", "chunk", "expression"),
    [
        (FIELD, "a dog", "a dog in a field of flowers"),
        (FIELD, "a field", "a field of flowers"),
        (FIELD, "flowers", "flowers"),
        (PAIR, "a dog", "a dog"),
        (PAIR, "a cat", "a cat"),
        (PAIR, "a sofa", "a sofa"),
        (LIST, "a dog", "a dog"),
        (LIST, "a cat", "a cat"),
        (LIST, "a bird", "a bird"),
        (LONG_LIST, "a dog", "a dog"),
        (NAMED, "a dog", "a dog , the hero"),
    ],
)
def test_published_rules(caption_and_parse, chunk, expression):
    caption, parse = caption_and_parse
    start = caption.index(chunk)
    assert expand(caption, parse, Span(start, start + len(chunk))).of(caption) == expression


@pytest.mark.parametrize(
    ("rows", "expression"),
    [
        ("dog:0:ROOT:NOUN ,:0:punct:PUNCT and:0:cc:CCONJ", "dog"),
        ("dog:0:ROOT:NOUN with:0:prep:ADP the:1:dep:DET", "dog"),
        (",:2:punct:PUNCT and:2:cc:CCONJ dog:2:ROOT:NOUN running:2:acl:VERB .:2:punct:PUNCT", "dog running"),
        ("dog:0:ROOT:NOUN taking:0:acl:VERB off:1:prt:ADP", "dog taking off"),
        ("dog:0:ROOT:NOUN 's:0:case:PART", "dog"),
        ("dog:0:ROOT:NOUN (:0:punct:PUNCT left:0:acl:VERB ):0:punct:PUNCT ;:0:punct:PUNCT", "dog ( left )"),
        ("dog:0:ROOT:NOUN left:0:acl:VERB ):0:punct:PUNCT", "dog left"),
        (
            'dog:0:ROOT:NOUN says:0:relcl:VERB ":1:punct:PUNCT hi:1:intj:INTJ ":1:punct:PUNCT',
            'dog says " hi "',
        ),
        ('dog:0:ROOT:NOUN running:0:acl:VERB ":0:punct:PUNCT', "dog running"),
        ("on:3:prep:ADP grass:0:pobj:NOUN and:3:cc:CCONJ dog:3:ROOT:NOUN", "on grass and dog"),
        # "quickly" hangs on the dog but "is" does not: only the run around the chunk.
        ("dog:1:nsubj:NOUN is:1:ROOT:AUX quickly:0:advmod:ADV", "dog"),
        ("dog:2:nsubj:NOUN outside:0:advmod:ADV is:2:ROOT:AUX quickly:0:advmod:ADV", "dog outside"),
    ],
)
def test_ends_are_clean(rows, expression):
    caption, parse = parse_of(rows)
    start = caption.index("dog")
    assert expand(caption, parse, Span(start, start + 3)).of(caption) == expression


def test_a_chunk_never_shrinks():
    """Its own last word may look like what is cut from an expression."""
    caption, parse = parse_of("the:1:det:DET look:1:ROOT:NOUN down:1:prep:ADP")
    chunk = Span(0, len(caption))
    assert expand(caption, parse, chunk) == chunk


@pytest.mark.parametrize(
    ("containment", "chunks", "kept"),
    [
        (
            "all",
            ["a dog", "a field", "flowers"],
            ["a dog in a field of flowers", "a field of flowers", "flowers"],
        ),
        ("outermost", ["a dog", "a field", "flowers"], ["a dog in a field of flowers"]),
        ("outermost", ["flowers", "a field"], ["a field of flowers"]),
        ("outermost", ["a field", "flowers", "a field"], ["a field of flowers", "a field of flowers"]),
        ("short", ["a dog", "a field", "flowers"], ["a dog", "a field", "flowers"]),
        ("all", [], []),
        ("outermost", [], []),
        ("short", [], []),
    ],
)
def test_containment(containment, chunks, kept):
    caption, parse = FIELD
    spans = [Span(caption.index(chunk), caption.index(chunk) + len(chunk)) for chunk in chunks]
    boxes = [grounded(span, score=i / 10) for i, span in enumerate(spans)]
    result = ReferringExpressions(containment=containment).process(
        {"caption": [caption], "parse": [parse], "boxes": [boxes]}
    )
    assert [span.of(caption) for span in result["ref_exps"][0]] == kept
    assert len(result["boxes"][0]) == len(kept)
    assert all(
        span.contains(box.span) for span, box in zip(result["ref_exps"][0], result["boxes"][0], strict=True)
    )
    assert set(result["boxes"][0]) <= set(boxes)


def test_human_captions(coco_mini):
    pytest.importorskip("spacy")
    rows = json.loads((coco_mini / "captions.json").read_text())["annotations"]
    captions = [row["caption"] for row in rows]
    chunker = NounChunks()
    chunker.setup()
    found = chunker.process({"caption": captions})
    boxes = [[] if isinstance(row, Reject) else list(map(grounded, row)) for row in found["noun_chunks"]]
    batch: Columns = {"caption": captions, "parse": found["parse"], "boxes": boxes}
    result = ReferringExpressions().process(batch)
    assert result["boxes"] == boxes
    grown = 0
    for caption, parse, row, spans in zip(captions, found["parse"], boxes, result["ref_exps"], strict=True):
        for box, span in zip(row, spans, strict=True):
            assert span.contains(box.span)
            assert span.start in parse.starts
            assert span.end in parse.ends
            assert span.of(caption).strip(" ,.;") == span.of(caption)
            grown += span != box.span
    assert grown > 400  # of some 1,100

    outermost = ReferringExpressions(containment="outermost").process(batch)["ref_exps"]
    assert all(a == b or not a.contains(b) for spans in outermost for a in spans for b in spans)
    assert all(bool(spans) == bool(row) for spans, row in zip(outermost, boxes, strict=True))

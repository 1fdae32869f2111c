import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box, iou
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import CROP, DIALECTS, Dialect, Size, without_overlaps
from gritmill.schemas.dialects.lists import Listing
from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Cells, Coordinates


def named(dialects: Iterable[Dialect]) -> list[Any]:
    return [pytest.param(dialect, id=dialect.name) for dialect in dialects]


INLINE = [d for d in DIALECTS.values() if isinstance(d, Markup) and not d.phrases_only]
ALL = named(DIALECTS.values())
TAGGED = named(d for d in INLINE if d.phrase[0])
UNTAGGED = named(d for d in INLINE if not d.phrase[0])
LISTS = named(d for d in DIALECTS.values() if d not in INLINE)

SIZES = st.builds(lambda w, ratio: (w, round(w * ratio)), st.integers(240, 2000), st.floats(0.26, 3.9))
HOSTILE = st.text("ab 1,.;:|/\\\"'<>[](){}é\n", min_size=1, max_size=12).filter(str.strip)
PHOTO = (640, 480)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Sides of a tenth at least: no rounding takes all of it."""
    x1, y1 = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    return Box(x1, y1, draw(st.floats(x1 + 0.1, 1)), draw(st.floats(y1 + 0.1, 1)))


def error_bound(dialect: Dialect, size: Size) -> tuple[float, float]:
    """One step of the dialect's numbers, in shares of the image."""
    window, width, height = dialect.geometry.view(size)
    numbers = dialect.numbers
    if isinstance(numbers, Cells):
        across = down = 1 / numbers.side
    else:
        assert isinstance(numbers, Coordinates)
        across, down = 1 / (numbers.steps or width), 1 / (numbers.steps or height)
    return across * (window.x2 - window.x1) + 1e-9, down * (window.y2 - window.y1) + 1e-9


@pytest.mark.parametrize("dialect", ALL)
@given(box=boxes(), size=SIZES)
@settings(max_examples=60, deadline=None)
def test_a_box_comes_back_within_one_step(dialect: Dialect, box: Box, size: Size) -> None:
    view = dialect.geometry.view(size)
    shown = view.shown(box)
    assume(shown is not None)
    assert shown is not None
    parsed = dialect.parse(dialect.encode_boxes([box], size), size)
    [back] = parsed.boxes
    across, down = error_bound(dialect, size)
    for got, expected, bound in zip(back, view.restored(shown), (across, down) * 2, strict=True):
        assert abs(got - expected) <= bound
    assert (parsed.text, parsed.unreadable, len(parsed.groundings)) == ("", 0, 1)


# Rounding down, and reading the lower edge as these do, shifts again what was read.
SHIFTS = {"ferret", "minigpt_v2"}


@pytest.mark.parametrize("dialect", [p for p in ALL if p.id not in SHIFTS])
@given(box=boxes(), size=SIZES)
@settings(max_examples=40, deadline=None)
def test_writing_what_was_read_gives_the_same_text(dialect: Dialect, box: Box, size: Size) -> None:
    text = dialect.encode_boxes([box], size)
    found = dialect.parse(text, size).boxes
    if found and dialect.geometry.name != "centre crop":
        assert dialect.encode_boxes(found, size) == text


def captioned(
    words: Sequence[str], box_lists: Sequence[list[Box]]
) -> tuple[str, list[tuple[Span, list[Box]]]]:
    caption, grounded = "", []
    for word, boxes_of_word in zip(words, box_lists, strict=False):
        caption += " " if caption else ""
        if boxes_of_word:
            grounded.append((Span(len(caption), len(caption) + len(word)), boxes_of_word))
        caption += word
    return caption, grounded


WORDS = st.lists(HOSTILE, min_size=1, max_size=5)
BOX_LISTS = st.lists(st.lists(boxes(), max_size=3), min_size=5, max_size=5)


@pytest.mark.parametrize("dialect", TAGGED)
@given(words=WORDS, box_lists=BOX_LISTS)
@settings(max_examples=60, deadline=None)
def test_any_caption_keeps_its_words_and_spans(
    dialect: Dialect, words: list[str], box_lists: list[list[Box]]
) -> None:
    caption, grounded = captioned(words, box_lists)
    plain = caption.translate(dialect.shield)
    moved = len(plain) - len(plain.lstrip())
    view = dialect.geometry.view(PHOTO)
    expected = []
    for span, its in grounded:
        shown = sum(view.shown(box) is not None for box in its)
        phrase = span.of(plain)
        start = span.start + len(phrase) - len(phrase.lstrip()) - moved
        if shown:
            expected.append((start, phrase.strip(), shown))
    parsed = dialect.parse(dialect.encode_caption(caption, grounded, PHOTO), PHOTO)
    assert parsed.text == plain.strip()
    found = [(g.span and g.span.start, g.phrase, len(g.boxes)) for g in parsed.groundings]
    assert found == expected
    assert all(g.span and g.span.of(parsed.text) == g.phrase for g in parsed.groundings)


@pytest.mark.parametrize("dialect", UNTAGGED)
@given(words=WORDS, box_lists=BOX_LISTS)
@settings(max_examples=60, deadline=None)
def test_without_tags_a_phrase_still_ends_where_it_did(
    dialect: Dialect, words: list[str], box_lists: list[list[Box]]
) -> None:
    caption, grounded = captioned(words, box_lists)
    plain = caption.translate(dialect.shield)
    moved = len(plain) - len(plain.lstrip())
    parsed = dialect.parse(dialect.encode_caption(caption, grounded, PHOTO), PHOTO)
    assert parsed.text == plain.strip()
    assert [len(g.boxes) for g in parsed.groundings] == [len(its) for _, its in grounded]
    for (span, _), (found, phrase, _) in zip(grounded, parsed.groundings, strict=True):
        if found is not None:  # a phrase of nothing but stops has none
            assert found.end + moved == span.start + len(span.of(plain).rstrip())
            assert found.of(parsed.text) == phrase


@pytest.mark.parametrize("dialect", LISTS)
@given(words=WORDS, box_lists=BOX_LISTS)
@settings(max_examples=60, deadline=None)
def test_a_list_holds_every_box_under_its_label(
    dialect: Dialect, words: list[str], box_lists: list[list[Box]]
) -> None:
    caption, grounded = captioned(words, box_lists)
    parsed = dialect.parse(dialect.encode_caption(caption, grounded, PHOTO), PHOTO)
    assert len(parsed.boxes) == sum(len(its) for _, its in grounded)
    labels = {" ".join(span.of(caption.translate(dialect.shield)).split()) for span, _ in grounded}
    if isinstance(dialect, Listing):
        labels = {label.strip(" :,") for label in labels}
    assert {g.phrase for g in parsed.groundings} == labels
    assert all(g.span is None or g.span.of(parsed.text) == g.phrase for g in parsed.groundings)


MARKUP = [
    "<phrase>x</phrase><object><patch_index_0000><patch_index_1023></object>",
    "<p>x</p><box><loc_0><loc_1023></box> <p>x</p> {<1><2><30><40>}",
    "x<loc_1><loc_2><loc_30><loc_40> <loc0001><loc0002><loc0100><loc0400> y ; z",
    "<ref>x</ref><box>(1,2),(30,40)</box> (1,2),(30,40) <box>[[1, 2, 30, 40]]</box>",
    "<|object_ref_start|>x<|object_ref_end|><|box_start|>(1,2),(30,40)<|box_end|>",
    '"}, {"bbox_2d": [1, 2, 30, 40], "label": "x',
    "x [1, 2, 30, 40] [0.1,0.2,0.3,0.4;0.5,0.6,0.7,0.8] <bin_1> <bin_2> <bin_3> <bin_4>",
]


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("attack", MARKUP)
def test_markup_in_a_caption_never_becomes_a_box(dialect: Dialect, attack: str) -> None:
    box = Box(0.25, 0.25, 0.5, 0.5)
    for caption, span in [(f"a dog {attack}", Span(0, 5)), (attack, Span(0, len(attack)))]:
        text = dialect.encode_caption(caption, [(span, [box])], PHOTO)
        parsed = dialect.parse(text, PHOTO)
        assert len(parsed.boxes) == 1
        assert parsed.unreadable == 0
        assert abs(parsed.boxes[0].x1 - 0.25) < 0.04


def test_overlapping_spans_leave_the_outer_and_the_earlier_one() -> None:
    noun, expression, crossing, inner, apart = (
        Span(0, 5),
        Span(0, 16),
        Span(10, 20),
        Span(17, 19),
        Span(30, 33),
    )
    given_boxes = [(noun, [1]), (crossing, [2]), (expression, [3]), (apart, [4]), (apart, [5]), (inner, [6])]
    assert without_overlaps(given_boxes) == [(expression, [3]), (inner, [6]), (apart, [4, 5])]


def test_a_noun_chunk_comes_back_when_its_expression_is_cropped_away() -> None:
    dialect = DIALECTS["kosmos2_paper"]  # of 640x480 the outer eighths are cut
    left, middle = Box(0, 0, 0.1, 1), Box(0.4, 0.4, 0.6, 0.6)
    grounded = [(Span(0, 5), [middle]), (Span(0, 16), [left])]
    assert dialect.encode_caption("a dog in a field", grounded, PHOTO).startswith(
        "<grounding><p>a dog</p><box>"
    )
    assert dialect.encode_caption("a dog in a field", grounded[1:], PHOTO) == "<grounding>a dog in a field"
    assert dialect.encode_boxes([left], PHOTO) == ""


@pytest.mark.parametrize(
    "box", [Box(0.5, 0.5, 0.5, 0.9), Box(0.9, 0.1, 0.1, 0.9), Box(float("nan"), 0, 1, 1), Box(1.1, 0, 1.2, 1)]
)
def test_what_is_no_box_is_not_written(box: Box) -> None:
    with pytest.raises(ValueError, match="not a box"):
        DIALECTS["kosmos2"].encode_boxes([box], PHOTO)


@pytest.mark.parametrize("span", [Span(0, 0), Span(5, 6), Span(-3, 2), Span(3, 99), Span(4, 2)])
def test_a_span_without_words_is_not_written(span: Span) -> None:
    with pytest.raises(ValueError, match="holds no words"):
        DIALECTS["kosmos2"].encode_caption("a dog in", [(span, [Box(0, 0, 1, 1)])], PHOTO)


def test_the_smallest_box_has_a_cell() -> None:
    text = DIALECTS["kosmos2"].encode_boxes([Box(0, 0, 1e-30, 1e-30)], PHOTO)
    assert text == "<object><patch_index_0000><patch_index_0000></object>"


@pytest.mark.parametrize("dialect", ALL)
def test_a_dialect_goes_to_other_processes_and_takes_another_geometry(dialect: Dialect) -> None:
    box = Box(0.3, 0.3, 0.6, 0.6)
    text = dialect.encode_boxes([box], PHOTO)
    assert pickle.loads(pickle.dumps(dialect)).parse(text, PHOTO) == dialect.parse(text, PHOTO)
    cropping = replace(dialect, geometry=CROP)
    [back] = cropping.parse(cropping.encode_boxes([box], PHOTO), PHOTO).boxes
    assert iou(back, box) > 0.85
    assert cropping.encode_boxes([Box(0, 0, 0.1, 1)], PHOTO) in ("", "[]")

"""Models write anything."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import DIALECTS, Dialect

PHOTO = (640, 480)
ALL = [pytest.param(dialect, id=name) for name, dialect in DIALECTS.items()]

SCRAPS = [
    "<", ">", "[", "]", "{", "}", "(", ")", ";", ",", ":", " ", "\n", '"', "\\", "-1", "nan", "1e999",
    "999999999", "0.5", "12", "<phrase>", "</phrase>", "<object>", "</object>", "<patch_index_0044>",
    "<patch_index_9999>",
    "</delimiter_of_multi_objects/>", "<loc_12>", "<loc0012>", "<bin_12>", "<box>", "</box>", "<ref>",
    "</ref>", "<p>", "</p>", "<delim>", "<|box_start|>", "<|box_end|>", "(1,2),(3,4)", "[1, 2, 30, 40]",
    '{"bbox_2d": ',
    '"label": "', "\\ud800", "a dog", "\0", "é", "٣",
]  # fmt: skip


@pytest.mark.parametrize("dialect", ALL)
@given(text=st.text() | st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join))
@settings(max_examples=150, deadline=None)
def test_anything_is_read(dialect: Dialect, text: str) -> None:
    parsed = dialect.parse(text, PHOTO)
    assert all(box.is_valid for box in parsed.boxes)
    assert all(g.boxes for g in parsed.groundings)
    assert parsed.boxes == [box for g in parsed.groundings for box in g.boxes]
    for span, phrase, _ in parsed.groundings:
        assert phrase == (span.of(parsed.text) if span else "")
    parsed.text.encode(errors="surrogatepass")


@pytest.mark.parametrize("dialect", ALL)
def test_spoilt_answers_are_read(dialect: Dialect) -> None:
    rng = random.Random(1)
    grounded = [(Span(0, 5), [Box(0.1, 0.2, 0.5, 0.9)]), (Span(10, 18), [Box(0.3, 0.3, 0.6, 0.6)] * 2)]
    whole = dialect.encode_caption("a dog and two cats", grounded, PHOTO)
    for _ in range(300):
        text = list(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 3)] = rng.choice([*SCRAPS, ""])
        assert all(box.is_valid for box in dialect.parse("".join(text), PHOTO).boxes)
    found = [len(dialect.parse(whole[:end], PHOTO).boxes) for end in range(len(whole) + 1)]
    assert found == sorted(found)  # a cut answer still has all boxes before the cut
    assert (found[0], found[-1]) == (0, 3)


HEAVY = ["<", "[", "[1", "[[", "[1,", " ", "<phrase>", "<object> ", '"label": "', '\\"', '{"', "{<1>",
         "(1,2),", "1", "a dog ", "<loc_1>", "; ", "[ ", "\n", ". ", "<box>(", "1,2,3,4;"]  # fmt: skip


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("piece", HEAVY)
@pytest.mark.timeout(60)
def test_long_texts_take_no_longer_than_they_are(dialect: Dialect, piece: str) -> None:
    """A quarter of a second where reading is linear; minutes where it is quadratic."""
    text = piece * (400_000 // len(piece)) + "x"
    assert all(box.is_valid for box in dialect.parse(text, PHOTO).boxes)


UNREADABLE = [
    ("kosmos2", "<object><patch_index_0000><patch_index_1024></object>"),
    ("kosmos2", "<object><patch_index_0863><patch_index_0044></object>"),
    ("qwen3_vl", '[{"bbox_2d": [500, 100, 400, 300], "label": "a dog"}]'),
    ("qwen3_vl", "[[2000, 2000, 3000, 3000]]"),
    ("ferret", "a dog [500, 500, 500, 600]"),
    ("shikra", "a dog[0.1,0.0,0.9,0.1]"),  # in the padding above a 640x480 photograph
]


@pytest.mark.parametrize(("name", "text"), UNREADABLE)
def test_boxes_that_are_none_are_counted(name: str, text: str) -> None:
    parsed = DIALECTS[name].parse(text, PHOTO)
    assert (parsed.boxes, parsed.written, parsed.unreadable) == ([], [None], 1)


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("order", ["bad good", "good bad", "bad good bad good"])
def test_unreadable_boxes_keep_their_place(dialect: Dialect, order: str) -> None:
    """The first box counts: what is written behind an unreadable one must not move up."""
    good = Box(0.1, 0.2, 0.5, 0.9)
    view = dialect.geometry.view(PHOTO)
    numbers = dialect.numbers.write(view.shown(good), view)  # type: ignore[arg-type]
    half = len(numbers) // 2
    spelled = {"good": numbers, "bad": numbers[half:] + numbers[:half]}  # corners exchanged: inverted
    text = dialect._boxes([spelled[kind] for kind in order.split()])
    parsed = dialect.parse(text, PHOTO)
    assert [box is not None for box in parsed.written] == [kind == "good" for kind in order.split()]
    assert parsed.boxes == [box for box in parsed.written if box]


TOLERATED = [
    ("kosmos2", "a dog <object> <patch_index_0044> <patch_index_0863> </object></s>", "a dog", [(None, "")]),
    ("kosmos2", "<phrase>It<object><patch_index_0044><patch_index_0863></obj", "It", [(Span(0, 2), "It")]),
    ("qwen2_vl", "<|box_start|>(1,2),(300,400)<|box_end|><|im_end|>", "", [(None, "")]),
    ("ferret", "A man. The dog  [1,2,30,40] runs [9, 9", "A man. The dog runs", [(Span(7, 14), "The dog")]),
    ("shikra", "a dog [0.1, 0.4, 0.3, 0.5] in", "a dog in", [(Span(0, 5), "a dog")]),
    ("qwen3_vl", 'Sure: ```json\n[{"label": "a \\"dog\\"", "bbox_2d": [1,2,30,40]}, {"bbox_2d": [5',
     'a "dog"', [(Span(0, 7), 'a "dog"')]),
    ("qwen3_vl", '{"bbox_2d":[1,2,30,40],"label":"half \\ud83d"}', "half ?", [(Span(0, 6), "half ?")]),
    ("qwen3_vl", '{"bbox_2d":[1,2,30,40],"label":"a\n\\"dog\\""}', 'a "dog"', [(Span(0, 7), 'a "dog"')]),
    ("qwen3_vl", "[1500, -2, 30, 40] and [1, 2, 3000, 40.5]", "", [(None, "")]),
    ("paligemma", "<loc0001><loc0002><loc0100><loc0400> a dog;<loc0001>", "a dog", [(Span(0, 5), "a dog")]),
    ("llava", "tie : [0.5, 0.2, 0.7, 0.7], [0.1, 0.2, 0.3, 0.7]\n\nno box", "tie", [(Span(0, 3), "tie")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "caption", "groundings"), TOLERATED)
def test_what_can_be_read_is_read(name: str, text: str, caption: str, groundings: list[Any]) -> None:
    parsed = DIALECTS[name].parse(text, PHOTO)
    assert (parsed.text, [(g.span, g.phrase) for g in parsed.groundings]) == (caption, groundings)

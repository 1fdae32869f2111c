"""Where in a model's text its boxes stand."""

from itertools import pairwise

import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Span
from gritmill.schemas.dialects import DIALECTS

SIZE = (640, 480)
CAPTION = "A dog in a field [1] <2>; and a cat."
GROUNDED = [
    (Span(0, 5), [Box(0.1, 0.2, 0.5, 0.9)]),
    (Span(9, 16), [Box(0, 0.5, 1, 1), Box(0.25, 0.25, 0.75, 0.5)]),
]


@pytest.mark.parametrize("name", DIALECTS)
def test_each_place_holds_its_box(name):
    dialect = DIALECTS[name]
    text = "Sure! " + dialect.encode_caption(CAPTION, GROUNDED, SIZE)
    written = dialect.parse(text, SIZE).written
    places = dialect.places(text)
    assert len(places) == len(written) == 3
    assert all(before.end <= after.start for before, after in pairwise(places))
    for place, box in zip(places, written):
        digits = [word for word in place.of(text) if word.isdigit()]
        assert len(digits) >= dialect.numbers.per_box
        assert dialect.parse(place.of(text), SIZE).written == [box]


@pytest.mark.parametrize("name", DIALECTS)
def test_what_is_no_box_has_a_place_too(name):
    """One for each box that was there, so that what follows does not move up."""
    dialect = DIALECTS[name]
    box = dialect.encode_boxes([Box(0.1, 0.2, 0.5, 0.9)], SIZE)
    for text in ("", "no dog", box, f"{box} {box}", box[: len(box) // 2], f"{box} [1, 2", "<loc_1>" * 4000):
        parsed = dialect.parse(text, SIZE)
        assert len(dialect.places(text)) == len(parsed.written)

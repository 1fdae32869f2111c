"""What every filter does with its measurements."""

import pytest

from gritmill.schemas.columns import Columns, Reject
from gritmill.stages.filters.base import AtLeast, AtMost, Filter, OneOf


class Lengths(Filter):
    """Caption -> its length and first letter."""

    reads = ("caption",)
    writes = {"length": int, "first": str}
    bounds = (
        AtLeast("length", "min_length", "short"),
        AtMost("length", "max_length", "long"),
        OneOf("first", "letters", "letter"),
    )

    min_length: int | None = 2
    max_length: int | None = None
    letters: list[str] | None = None

    def measure(self, batch: Columns) -> Columns:
        captions = batch["caption"]
        return {
            "length": [len(c) if c is not None else Reject("missing") for c in captions],
            "first": [c[0] if c else None for c in captions],
        }


@pytest.mark.parametrize(
    ("options", "caption", "length", "first"),
    [
        ({}, "dog", 3, "d"),
        ({}, "d", Reject("short", 1, 2), "d"),
        ({}, "do", 2, "d"),
        ({"min_length": None}, "", 0, None),
        ({"max_length": 2}, "dog", Reject("long", 3, 2), "d"),
        ({"letters": ["a"]}, "dog", 3, Reject("letter", "d", ["a"])),
        ({"mode": "measure", "letters": ["a"], "min_length": 9}, "dog", 3, "d"),
        ({"mode": "measure"}, None, Reject("missing"), None),
    ],
)
def test_what_is_out_of_bounds_is_dropped(options: dict, caption: str | None, length: object, first: object):  # type: ignore[type-arg]
    found = Lengths(**options).process({"caption": [caption]})
    assert found == {"length": [length], "first": [first]}


def test_a_row_out_of_two_bounds_keeps_the_first_reason() -> None:
    found = Lengths(min_length=5, max_length=1).process({"caption": ["dog"]})
    assert found["length"] == [Reject("short", 3, 5)]


class Shares(Filter):
    """Number -> the number."""

    reads = ("number",)
    writes = {"share": float}
    bounds = (AtMost("share", "max_share", "much"),)

    max_share: float = 0.7

    def measure(self, batch: Columns) -> Columns:
        return {"share": batch["number"]}


@pytest.mark.parametrize(
    ("number", "shown"), [(0.7123456, 0.7123), (0.700001, 0.700001), (float("nan"), float("nan"))]
)
def test_a_value_beyond_its_threshold_is_shown_beyond_it(number: float, shown: float) -> None:
    assert Shares().process({"number": [number, 0.7]}) == {"share": [Reject("much", shown, 0.7), 0.7]}

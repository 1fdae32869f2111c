"""Types of columns as words, and back."""

from typing import NamedTuple

import pytest

from gritmill.pipeline.gallery.from_record import COLUMNS
from gritmill.schemas.column_types import type_of, type_word
from gritmill.schemas.columns import Span


class Own(NamedTuple):
    """A type of somebody's own stage."""

    start: int


@pytest.mark.parametrize("kind", [*COLUMNS.values(), int, float, bool, bytes, list[list[Span]]])
def test_what_stands_in_schemas_comes_back(kind: object) -> None:
    assert type_of(type_word(kind)) == kind


@pytest.mark.parametrize(
    "word",
    [
        *(
            type_word(Own),
            type_word(list[Own]),
            "",
            "list[",
            "list[]",
            "Span",
            "columns.Nothing",
            "nowhere.X",
        ),
        *("os.PathLike", "columns.Reject", "columns.__doc__", "columns.np", "../os.X", "list[os.PathLike]"),
    ],
)
def test_nothing_else_does(word: str) -> None:
    assert type_of(word) is object

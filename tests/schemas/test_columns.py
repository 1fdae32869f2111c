from typing import Any

import pyarrow as pa
import pytest

from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import (
    Annotation,
    GroundedBox,
    ImageRef,
    Parse,
    Span,
    arrow_type,
    from_arrow,
    to_arrow,
)

GROUNDED = GroundedBox(Span(0, 5), Box(0.1, 0.2, 0.5, 0.9), 0.83, "model@rev", "a dog")


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (str, ["a", "", None, "🐕 שלום é"]),
        (int, [1, -(2**63), None]),
        (float, [0.1, None]),
        (bool, [True, None, False]),
        (list[str], [["a"], [], None]),
        (Span, [Span(0, 3), None]),
        (list[Span], [[Span(0, 3), Span(4, 5)], [], None]),
        (ImageRef, [ImageRef("a.tar", 512, 99)]),
        (list[GroundedBox], [[GROUNDED], [], None]),
        (list[Annotation], [[Annotation("dog", Box(0, 0, 1, 1), False, [[0.1, 0.2], []])], []]),
        (Parse, [Parse([0, 2], [1, 5], [1, 1], ["det", "ROOT"], ["DET", "NOUN"], ["a", "dog"])]),
    ],
)
def test_values_come_back_as_they_went(annotation: Any, values: list[Any]) -> None:
    array = to_arrow(values, annotation)
    assert array.type == arrow_type(annotation)
    back = from_arrow(array, annotation)
    assert back == values
    assert [type(v) for v in back] == [type(v) for v in values]


def test_structs_keep_their_names() -> None:
    assert arrow_type(list[Span]) == pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))


def test_a_type_that_is_no_column_type_is_refused() -> None:
    with pytest.raises(TypeError, match="not a column type"):
        arrow_type(dict[str, int])

"""The columns of a sample: their types in Python, their shape in Arrow, and rejected rows.

Stages see plain Python (`Columns`: a list for each column, all of one length); files hold Arrow.
A column's type is an ordinary annotation: `str`, `int`, `float`, `bool`, a `NamedTuple` of those
(an Arrow struct) or a `list[...]` of them.

    {"caption": ["a dog in a field"], "noun_chunks": [[Span(0, 5), Span(9, 16)]]}
"""

from itertools import accumulate, chain
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from gritmill.schemas.boxes import Box

Columns = dict[str, list[Any]]

TOGETHER = " + "
"""Between the names of the models that found a box together."""


class Span(NamedTuple):
    """`[start, end)` character offsets into the caption exactly as it was given."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The text it stands for: `Span(0, 5).of("a dog in a field") == "a dog"`."""
        return text[self.start : self.end]

    def contains(self, other: "Span") -> bool:
        """True if `other` lies within it; a span contains itself."""
        return self.start <= other.start and other.end <= self.end


class ImageRef(NamedTuple):
    """Where an image's bytes lie: `length` bytes at `offset` of `uri`.

    `uri` is a file or URL, or one with a fragment where no byte range can say it: `x.parquet#image`
    (column `image`, row number `offset`) or `scenes:...` (drawn when read, see the scenes source).
    """

    uri: str
    offset: int
    length: int


class Annotation(NamedTuple):
    """A box that the source came with, such as one of COCO's instances.

    >>> Annotation("dog", Box(0.1, 0.2, 0.5, 0.9), False, [[0.1, 0.2, 0.5, 0.9, 0.1, 0.9]])
    """

    label: str
    box: Box
    crowd: bool
    """A box around many objects of the label (COCO's `iscrowd`)."""
    polygons: list[list[float]]
    """Outlines as x, y, x, y, ... in 0..1 of the image; empty if the source has none."""


class Parse(NamedTuple):
    """A caption's dependency parse, one entry of each list a token.

    >>> Parse([0, 2], [1, 5], [1, 1], ["det", "ROOT"], ["DET", "NOUN"], ["a", "dog"])  # "a dog"
    """

    starts: list[int]
    """First character of the token, in the caption."""
    ends: list[int]
    heads: list[int]
    """Index of the token that it depends on; its own index at a root."""
    deps: list[str]
    """Dependency label (spaCy's, ClearNLP style: `nsubj`, `prep`, `conj`, ...)."""
    tags: list[str]
    """Universal part of speech: `NOUN`, `PROPN`, `PRON`, ..."""
    lemmas: list[str]


class GroundedBox(NamedTuple):
    """A box for a phrase of the caption, with everything that says where it came from.

    >>> GroundedBox(Span(0, 5), Box(0.1, 0.2, 0.5, 0.9), 0.83, "IDEA-Research/...@a2bb814", "a dog")
    """

    span: Span
    """The noun chunk that it belongs to."""
    box: Box
    score: float
    """The model's own raw score, 0..1; not comparable between models."""
    model: str
    """Model and revision; of several that agreed, all, with `TOGETHER` between."""
    phrase: str
    """The text that the model was asked for; where several were asked for different ones, all."""


Check = Literal["min_area", "max_area", "min_margin", "agreement", "regrounding", "similarity"]
"""The checks that a box can go through; `stages/verification/verify_boxes.py` tells of each."""


class BoxCheck(NamedTuple):
    """What a check of a box measured: the second grounder's box overlaps it by an IoU of 0.31.

    >>> BoxCheck("agreement", False, 0.31, 0.5)
    """

    check: str
    passed: bool
    value: float
    threshold: float


class DroppedBox(NamedTuple):
    """A box that a stage took out of a sample, with the measurement that cost it its place.

    >>> DroppedBox(GroundedBox(Span(0, 5), ...), "agreement", 0.31, 0.5)
    """

    box: GroundedBox
    reason: str
    value: float
    threshold: float


class Reject:
    """Put in a row of any column to drop that row, with the reason and what was measured.

    >>> Reject("too_small", value=48, threshold=64)
    """

    __slots__ = ("reason", "threshold", "value")

    def __init__(self, reason: str, value: object = None, threshold: object = None) -> None:
        self.reason = reason
        self.value = "" if value is None else str(value)
        self.threshold = "" if threshold is None else str(threshold)

    def __repr__(self) -> str:
        return f"Reject({self.reason!r}, {self.value!r}, {self.threshold!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reject) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


SAMPLE_COLUMNS: dict[str, Any] = {
    "key": str,
    "image_id": str,
    "image": ImageRef,
    "caption": str,
    "captions": list[str],
    "metadata": str,
}
"""What every source gives. `image_id` is shared by all samples of an image; `metadata` is a JSON
object with whatever else the source said of the sample (url, licence, similarities)."""


_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}


_NUMBERS = {int: np.dtype(np.int64), float: np.dtype(np.float64)}


def arrow_type(annotation: Any) -> pa.DataType:
    """`list[Span]` -> `list<struct<start: int64, end: int64>>`."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is list:
        return pa.list_(arrow_type(get_args(annotation)[0]))
    if _is_struct(annotation):
        return pa.struct([(name, arrow_type(hint)) for name, hint in get_type_hints(annotation).items()])
    raise TypeError(f"{annotation!r} is not a column type")


def to_arrow(values: list[Any], annotation: Any) -> pa.Array:
    """Python values of a column's type (or None) -> an Arrow array.

    Built column by column, level by level: going through a dict for each struct, as `pa.array` wants
    them, took several times as long.
    """
    if annotation in (int, float):
        # Through numpy where it sees nothing but such numbers: ten times as fast.
        numbers = np.array(values)
        if numbers.dtype == _NUMBERS[annotation]:
            return pa.array(numbers)
    if annotation in _SCALARS:
        return pa.array(values, _SCALARS[annotation])
    missing = [value is None for value in values]
    mask = pa.array(missing) if any(missing) else None
    if get_origin(annotation) is list:
        [item] = get_args(annotation)
        filled = [() if value is None else value for value in values]
        offsets = [0, *accumulate(map(len, filled))]
        items = to_arrow(list(chain.from_iterable(filled)), item)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, mask=mask)
    hints = get_type_hints(annotation)
    nothing = (None,) * len(hints)
    columns = zip(*(nothing if value is None else value for value in values), strict=True)
    lists = list(map(list, columns)) or [[] for _ in hints]
    arrays = [to_arrow(column, hint) for column, hint in zip(lists, hints.values(), strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(arrow_type(annotation)), mask=mask)


def from_arrow(array: pa.Array | pa.ChunkedArray, annotation: Any) -> list[Any]:
    """An Arrow array -> Python values of the column's type."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if annotation in _SCALARS:
        numbers = annotation in (int, float) and not array.null_count
        return array.to_numpy(zero_copy_only=False).tolist() if numbers else array.to_pylist()
    if get_origin(annotation) is list:
        [item] = get_args(annotation)
        items = from_arrow(array.flatten(), item)
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).tolist()
        ends = accumulate(lengths)
        values = [items[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    else:
        hints = get_type_hints(annotation)
        columns = [from_arrow(a, hint) for a, hint in zip(array.flatten(), hints.values(), strict=True)]
        values = list(map(annotation._make, zip(*columns, strict=True)))
    if array.null_count:
        valid = array.is_valid().to_pylist()
        return [value if is_valid else None for value, is_valid in zip(values, valid, strict=True)]
    return values


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")

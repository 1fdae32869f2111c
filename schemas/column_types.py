"""The type of a column as a word, for a file that says which columns a result has.

Only what stands in `schemas` has a word: reading one imports nothing else.
"""

import importlib
import re
from typing import Any, get_args, get_origin

_SCALARS: dict[str, Any] = {kind.__name__: kind for kind in (str, int, float, bool, bytes)}
_STRUCT = re.compile(r"([a-z]\w*)\.([A-Z]\w*)")
UNKNOWN = "?"


def type_word(kind: Any) -> str:
    """`list[Span]` -> `"list[columns.Span]"`; `"?"` for a type of somebody's own."""
    if get_origin(kind) is list:
        return f"list[{type_word(get_args(kind)[0])}]"
    if kind in _SCALARS.values():
        return str(kind.__name__)
    package, _, module = getattr(kind, "__module__", "").rpartition(".")
    return f"{module}.{kind.__name__}" if package == "gritmill.schemas" else UNKNOWN


def type_of(word: str) -> Any:
    """The inverse of `type_word`; `object` for a word of which nothing is known."""
    if word.startswith("list[") and word.endswith("]"):
        item = type_of(word[len("list[") : -1])
        return object if item is object else list.__class_getitem__(item)
    if word in _SCALARS:
        return _SCALARS[word]
    named = _STRUCT.fullmatch(word)
    try:
        kind = (
            getattr(importlib.import_module(f"gritmill.schemas.{named[1]}"), named[2], None)
            if named
            else None
        )
    except ModuleNotFoundError:
        return object
    return kind if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields") else object

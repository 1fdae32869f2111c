"""The body of a chat completion as servers write it: the text counts, all else may be missing or odd."""

import json
from typing import Any, NamedTuple

MOST_TOKENS = 2**31
"""A count beyond is none."""
TEXTS = {None, "text", "output_text"}
"""Kinds of parts that hold text; others, such as `thinking`, hold none of the answer."""


class Said(NamedTuple):
    """What a server said, as far as it can be read.

    >>> Said("A dog.", False, "stop", "gpt-4o-2024-11-20", 812, None)
    """

    text: str
    """The answer, or the refusal."""
    refused: bool
    finish_reason: str
    model: str
    """Empty where the server does not name it."""
    tokens_in: int | None
    """None where the server does not count, or what it counts is no number of tokens."""
    tokens_out: int | None


def read(content: bytes) -> Said:
    """A reply's body. Raises `ValueError` for one that is no chat completion."""
    try:
        value = loads(content)
        choice = value["choices"][0]
        message = choice["message"]
        parts = _parts(message.get("content"))
        refusal = _text(message.get("refusal")) or "".join(_text(part.get("refusal")) for part in parts)
        text = "".join(_text(part.get("text")) for part in parts if part.get("type") in TEXTS)
        usage = value.get("usage")
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a chat completion") from error
    counts = usage if isinstance(usage, dict) else {}
    return Said(
        refusal or text,
        bool(refusal),
        _text(choice.get("finish_reason")) or "stop",
        _text(value.get("model")),
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def loads(content: bytes) -> Any:
    """JSON of a server, where bytes that are no UTF-8 and numbers of a thousand digits harm nothing else."""
    return json.loads(content.decode("utf-8-sig", "replace"), parse_int=lambda digits: int(digits[:20]))


def _parts(content: object) -> list[dict[str, Any]]:
    """[{"type": "text", "text": "A dog."}], which is how Mistral's server writes "A dog." beside thoughts."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}]
    if not isinstance(content, list):
        raise TypeError(f"content is {type(content).__name__}")
    return [{"text": part} if isinstance(part, str) else part for part in content]


def _text(value: object) -> str:
    """Without half surrogate pairs, which no file can hold; empty for what is no text."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None

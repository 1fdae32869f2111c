"""Bodies of chat completions as servers write them."""

import json
from typing import Any

import pytest

from gritmill.schemas.completions import Said, read

WHOLE = Said("A dog.", False, "stop", "m-1", 7, 9)


def body(message: Any, **more: Any) -> bytes:
    value = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m-1"}
    return json.dumps({**value, "usage": {"prompt_tokens": 7, "completion_tokens": 9}, **more}).encode()


@pytest.mark.parametrize(
    "content",
    [
        "A dog.",
        ["A ", "dog."],
        [{"type": "text", "text": "A "}, {"type": "text", "text": "dog."}],
        [{"text": "A dog."}],
        [{"type": "output_text", "text": "A dog."}],
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "A dog."},
        ],
        [
            {"type": "reasoning", "text": "Hm."},
            {"type": "text", "text": "A dog."},
            {"type": "text", "text": None},
        ],
    ],
)
def test_text_that_is_there_is_kept(content: Any) -> None:
    assert read(body({"content": content})) == WHOLE
    assert read(body({"content": content, "reasoning_content": "Hm.", "refusal": None})) == WHOLE


@pytest.mark.parametrize(
    ("message", "text", "refused"),
    [
        ({"content": None, "refusal": "No."}, "No.", True),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No.", True),
        ({"content": "A dog.", "refusal": ""}, "A dog.", False),
        ({"content": "A dog.", "refusal": False}, "A dog.", False),
        ({"content": None, "reasoning_content": "Hm."}, "", False),
        ({"content": [{"type": "thinking", "thinking": "Hm."}]}, "", False),
        ({}, "", False),
        ({"content": "a\ud800b"}, "a?b", False),
    ],
)
def test_refusals_thoughts_and_nothing(message: Any, text: str, refused: bool) -> None:
    assert read(body(message))[:2] == (text, refused)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ({"usage": None}, {"tokens_in": None, "tokens_out": None}),
        ({"usage": {"prompt_tokens": 7.0, "completion_tokens": None}}, {"tokens_out": None}),
        ({"usage": {"prompt_tokens": -7, "completion_tokens": 9}}, {"tokens_in": None}),
        (
            {"usage": {"prompt_tokens": 10**30, "completion_tokens": True}},
            {"tokens_in": None, "tokens_out": None},
        ),
        ({"model": None}, {"model": ""}),
        ({"model": 3, "extra": {"a": [1]}}, {"model": ""}),
    ],
)
def test_all_else_may_be_missing(more: Any, changed: Any) -> None:
    assert read(body({"content": "A dog."}, **more)) == WHOLE._replace(**changed)


def test_bytes_that_are_no_text_cost_themselves() -> None:
    assert read(body({"content": "A dog?"}).replace(b"?", b"\xff")).text == "A dog\ufffd"
    assert read(b"\xef\xbb\xbf\n" + body({"content": "A dog."})) == WHOLE


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[" * 100_000, body("text"), body({"content": {"a": 1}})]
)
def test_what_is_no_chat_completion(content: bytes) -> None:
    with pytest.raises(ValueError):
        read(content)

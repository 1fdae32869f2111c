"""The key of a request covers what decides the reply, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gritmill.stages.generation.request import ChatRequest, Message, Picture
from gritmill.stages.generation.tokens import likely_tokens, most_tokens

REQUEST = ChatRequest(
    "gpt-4o",
    (Message("system", "Describe."), Message("user", "A dog in a field.", Picture.of(lambda: b"image"))),
    max_tokens=64,
    parameters={"temperature": 0.2, "top_p": 1},
    max_side=2048,
)


def test_the_key_of_a_request_never_changes() -> None:
    # Golden: another value orphans every reply that anybody ever bought.
    assert REQUEST.key == "857fae1f939f202356d866dccef698fe5bd2f9941f659df54bae68933cc2ddfb"


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, model="gpt-4o-mini"),
        replace(REQUEST, model_revision="b2"),
        replace(REQUEST, max_tokens=65),
        replace(REQUEST, parameters={"temperature": 0.3, "top_p": 1}),
        replace(REQUEST, schema={"type": "object"}),
        replace(REQUEST, max_side=1024),
        replace(REQUEST, messages=(*REQUEST.messages, Message("assistant", "A dog."))),
        replace(REQUEST, messages=(REQUEST.messages[0], Message("user", "A dog in a field."))),
        replace(
            REQUEST,
            messages=(
                REQUEST.messages[0],
                Message("user", "A dog in a field.", Picture.of(lambda: b"imagf")),
            ),
        ),
        # Where one message ends and the next begins is part of it.
        replace(REQUEST, messages=(Message("system", "Describe.A"), *REQUEST.messages[1:])),
    ],
)
def test_what_decides_the_reply_changes_the_key(other: ChatRequest) -> None:
    assert other.key != REQUEST.key


def test_the_order_of_parameters_does_not_matter() -> None:
    assert replace(REQUEST, parameters={"top_p": 1, "temperature": 0.2}).key == REQUEST.key


def test_asked_again_says_what_is_wrong() -> None:
    again = REQUEST.asked_again("As an AI ...", ["it is a refusal", "it has no answer"])
    assert [m.role for m in again.messages] == ["system", "user", "assistant", "user"]
    assert again.messages[2].text == "As an AI ..."
    assert "- it is a refusal\n- it has no answer\n" in again.messages[3].text
    assert again.key != REQUEST.key


@given(st.lists(st.text(), max_size=4))
def test_no_text_has_more_tokens_than_the_bound(texts: list[str]) -> None:
    assert likely_tokens(texts) <= most_tokens(texts)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # Counts by SmolLM2's tokenizer, which takes digits one by one.
        ("A brown dog runs across a field of yellow flowers under a cloudy sky.", 15),
        ("person: [0.123, 0.456, 0.789, 0.900]\ndog: [0.001, 0.250, 0.500, 0.750]", 61),
    ],
)
def test_the_estimate_is_above_a_real_count_but_not_far(text: str, tokens: int) -> None:
    assert tokens <= likely_tokens([text]) - likely_tokens([""]) <= 1.3 * tokens


def test_an_image_counts_what_the_recipe_says() -> None:
    assert REQUEST.most_tokens_in(1000) - REQUEST.most_tokens_in(0) == 1000

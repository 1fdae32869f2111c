"""Labels on the answers alone, for models that go on from a prompt.

A conversation is text in segments; the processor turns the whole text into ids in one call, so that
training and generation see the same tokens. The tokenizer alone says which of them are answers.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from gritmill.schemas.columns import Span

IGNORED = -100
"""Label of a position that is not learnt, as `torch.nn.functional.cross_entropy` has it."""


class Unfit(Exception):
    """An example that cannot be trained on; says why."""


class TextSegment(NamedTuple):
    """Text of a conversation as its model's format has it.

    >>> [Segment("USER: <image>\\nWhere is the dog? ASSISTANT:", False), Segment(" [1,2,3,4]</s>", True)]
    """

    text: str
    is_answer: bool
    """To be learnt, down to the token that ends it."""


class Labels(NamedTuple):
    """>>> Labels([-100, -100, -100, 4711, 2], 0)  # a question of three tokens, an answer of one, the end"""

    ids: list[int]
    """One for each token that is kept."""
    left_out: int
    """Answers beyond the length."""


def answer_labels(
    tokenizer: Any, segments: Sequence[TextSegment], ids: Sequence[int], max_length: int
) -> Labels:
    """Labels of `ids`, what the processor made of the segments' text, without padding.

    The processor puts the image's tokens before the first answer; from there on its ids are those of the
    tokenizer alone. Over `max_length`, whole answers with their questions are left out from the end, and
    the labels are as many as tokens remain. Raises `Unfit` where not even the first answer fits, or where a
    token is half question, half answer; `AssertionError` for a processor that does not do as said.
    """
    plain = tokenizer(
        "".join(s.text for s in segments), add_special_tokens=False, return_offsets_mapping=True
    )
    tokens = [Span(*offsets) for offsets in plain["offset_mapping"]]
    shift = len(ids) - len(tokens)
    ends = accumulate(len(segment.text) for segment in segments)
    answers = [
        _tokens_of(Span(end - len(segment.text), end), tokens)
        for end, segment in zip(ends, segments, strict=True)
        if segment.is_answer
    ]
    first = answers[0].start
    if list(ids[first + shift :]) != plain["input_ids"][first:]:
        raise AssertionError("the processor's tokens of the answers are not the tokenizer's")
    fitting = [answer for answer in answers if answer.end + shift <= max_length]
    if not fitting:
        raise Unfit(f"no answer within {max_length} tokens")
    labels = [IGNORED] * (fitting[-1].end + shift)
    for start, end in fitting:
        labels[start + shift : end + shift] = ids[start + shift : end + shift]
    return Labels(labels, len(answers) - len(fitting))


def _tokens_of(segment: Span, tokens: Sequence[Span]) -> Span:
    """The numbers of the tokens that make up a segment."""
    start = next((i for i, token in enumerate(tokens) if token.end > segment.start), len(tokens))
    end = next((i for i, token in enumerate(tokens) if token.start >= segment.end), len(tokens))
    if start >= end or tokens[start].start < segment.start or tokens[end - 1].end > segment.end:
        raise Unfit("a token is part of both a question and its answer")
    return Span(start, end)

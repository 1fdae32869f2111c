"""A caption as the answer to a request for a short description."""

import pytest

from gritmill.schemas.columns import Reject
from gritmill.stages.caption_conversations import CaptionConversations


def asked(stage: CaptionConversations, caption: str = " A dog. ", key: str = "k") -> list[str]:
    [[conversation]] = stage.process({"key": [key], "caption": [caption]})["conversations"]
    return [turn.text for turn in conversation.turns]


def test_the_caption_is_the_answer():
    question, answer = asked(CaptionConversations(image="before"))
    assert question.startswith("<image>\n")
    assert answer == "A dog."


@pytest.mark.parametrize(
    ("image", "sides"), [("before", {True}), ("after", {False}), ("either", {True, False})]
)
def test_requests_are_drawn_by_key(image, sides):
    stage = CaptionConversations(image=image)
    drawn = [asked(stage, key=str(i))[0] for i in range(60)]
    assert {question.startswith("<image>") for question in drawn} == sides
    assert len({question.replace("<image>", "").strip() for question in drawn}) > 8
    assert drawn == [asked(stage, key=str(i))[0] for i in range(60)]


def test_no_caption_no_conversation():
    assert CaptionConversations().process({"key": ["k"], "caption": ["  "]}) == {
        "conversations": [Reject("empty")]
    }

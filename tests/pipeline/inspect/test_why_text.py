"""How a story's columns are printed."""

import pytest

from gritmill.pipeline.inspect.why import Chapter, Story
from gritmill.pipeline.inspect.why_text import story_lines
from gritmill.schemas.conversations import Provenance

NO_ONE = Provenance()._asdict()


def box(*corners: float) -> dict[str, float]:
    return dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))


def test_a_conversation_reads_as_one_with_its_boxes_behind() -> None:
    dog = box(0.1, 0.2, 0.5, 0.9)
    question = {"role": "human", "text": "<image>\nWhere is the dog?", "regions": [], "phrases": []}
    answer = {"role": "assistant", "text": "<region:0>", "regions": [{"boxes": [dog]}], "phrases": []}
    caption = {"role": "assistant", "text": "A dog.", "regions": [], "phrases": [{"boxes": [dog, dog]}]}
    turns = {"turns": [question, answer, question, caption], "provenance": NO_ONE}
    story = Story("key", "part", 3, [Chapter("tasks", "kept", columns={"conversations": [turns]})])
    lines = [line.strip() for line in story_lines(story)]
    assert lines[2:] == [
        "conversations  human: <image> Where is the dog?",
        "assistant: <region:0> [0.100 0.200 0.500 0.900]",
        "human: <image> Where is the dog?",
        "assistant: A dog. [0.100 0.200 0.500 0.900] [0.100 0.200 0.500 0.900]",
        "made by unknown",
    ]


def test_a_reply_says_who_wrote_it_and_then_what() -> None:
    origin = {
        "task": "conversation",
        "backend": "openai",
        "model": "gpt-4o-2024-11-20",
        "prompt": "54cec7e6b82e9390",
        "request": "b2c4" * 16,
        "tokens_in": 1812,
        "tokens_out": 143,
        "finish_reason": "stop",
    }
    columns = {
        "reply": {**origin, "text": "Question:\nWhat?\n===\nAnswer:\nA dog.\x1b"},
        "conversations": [
            {"turns": [], "provenance": NO_ONE | origin | {"maker": "parse", "rewritten_by": "shorten"}},
            {
                "turns": [],
                "provenance": NO_ONE | {"maker": "tasks", "task": "rec", "template": "tasks/rec@1c9b"},
            },
            {"turns": [], "provenance": NO_ONE},
        ],
    }
    story = Story("key", "part", 3, [Chapter("generate", "kept", columns=columns)])
    lines = [line.strip() for line in story_lines(story)]
    said = (
        "conversation by gpt-4o-2024-11-20 (openai): 1,812 tokens in, 143 out, stop, request b2c4b2c4, "
        "prompt 54cec7e6"
    )
    assert lines[2:] == [
        f"reply          {said}",
        "Question: What? === Answer: A dog.\\x1b",
        f"conversations  made by parse: {said}, rewritten by shorten",
        "made by tasks: rec from tasks/rec@1c9b",
        "made by unknown",
    ]


def test_boxes_that_a_model_was_told_of_are_listed_like_annotations() -> None:
    columns = {"context_regions": [{"label": "dog", "box": box(0.1, 0.2, 0.5, 0.9)}]}
    story = Story("key", "part", 3, [Chapter("context", "kept", columns=columns)])
    assert [line.strip() for line in story_lines(story)][2:] == [
        "context_regions dog [0.100 0.200 0.500 0.900]"
    ]


@pytest.mark.parametrize(
    ("value", "threshold", "said"),
    [
        ("48", "64", "rejected: why, measured 48, threshold 64"),
        ("-1.5e-05", "0.0", "rejected: why, measured -1.5e-05, threshold 0.0"),
        (
            "duplicate of a (distance 3)",
            "radius 15",
            "rejected: why, duplicate of a (distance 3), threshold radius 15",
        ),
        ("", "", "rejected: why"),
    ],
)
def test_numbers_are_measured_and_words_are_said(value: str, threshold: str, said: str) -> None:
    chapter = Chapter("step", "rejected", "why", value, threshold, columns={"score": 0.23076923076923078})
    _, verdict, score = story_lines(Story("key", "part", 3, [chapter]))
    assert verdict.split(maxsplit=1)[1] == said
    assert score.split() == ["score", "0.2308"]

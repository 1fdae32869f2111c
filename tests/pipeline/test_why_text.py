"""How a story's columns are printed."""

from pipeline.why import Chapter, Story
from pipeline.why_text import story_lines


def box(*corners: float) -> dict[str, float]:
    return dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))


def test_a_conversation_reads_as_one_with_its_boxes_behind() -> None:
    dog = box(0.1, 0.2, 0.5, 0.9)
    question = {"role": "human", "text": "<image>\nWhere is the dog?", "regions": [], "phrases": []}
    answer = {"role": "assistant", "text": "<region:0>", "regions": [[dog]], "phrases": []}
    caption = {"role": "assistant", "text": "A dog.", "regions": [], "phrases": [{"boxes": [dog, dog]}]}
    turns = {"turns": [question, answer, question, caption]}
    story = Story("key", "part", 3, [Chapter("tasks", "kept", columns={"conversations": [turns]})])
    lines = [line.strip() for line in story_lines(story)]
    assert lines[2:] == [
        "conversations  human: <image> Where is the dog?",
        "assistant: <region:0> [0.100 0.200 0.500 0.900]",
        "human: <image> Where is the dog?",
        "assistant: A dog. [0.100 0.200 0.500 0.900] [0.100 0.200 0.500 0.900]",
    ]

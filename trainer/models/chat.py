"""A conversation in the format of a processor's chat template."""

from typing import Any

from gritmill.schemas.families.chat import message, rendered
from gritmill.trainer.models.masking import TextSegment
from gritmill.trainer.models.turns import Turns


def templated(processor: Any, turns: Turns, end: str) -> list[TextSegment]:
    """Turns as segments; one that ends with a question ends as generation needs it.

    `end` is the token that ends an answer. Where the template lacks it, it takes the place of the white
    space behind the answer, so that the model learns to stop.

    >>> templated(processor, [("human", "<image>\\nHi"), ("assistant", "Hello.")], "<end_of_utterance>")
    [Segment("<|im_start|>User:<image>Hi<end_of_utterance>\\nAssistant:", False),
     Segment(" Hello.<end_of_utterance>", True), Segment("\\n", False)]
    """
    messages = [message(role, text) for role, text in turns]
    segments: list[TextSegment] = []
    said = ""
    for i in range(0, len(turns), 2):
        asked = rendered(processor, messages[: i + 1])
        segments.append(TextSegment(_beyond(asked, said), False))
        if i + 1 == len(turns):
            break
        said = rendered(processor, messages[: i + 2])
        answer, found, rest = _beyond(said, asked).rpartition(end)
        segments += (
            [TextSegment(answer + end, True), TextSegment(rest, False)]
            if found
            else [TextSegment(rest.rstrip() + end, True)]
        )
    return segments


def _beyond(text: str, beginning: str) -> str:
    if not text.startswith(beginning):
        raise ValueError("the chat template writes earlier turns anew when one is added; it cannot be used")
    return text.removeprefix(beginning)

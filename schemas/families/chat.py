"""Messages in the format of a processor's chat template."""

from collections.abc import Sequence
from typing import Any

from gritmill.schemas.conversations import HUMAN, IMAGE

Message = dict[str, Any]


def message(role: str, text: str) -> Message:
    """What one side says, as chat templates take it; the image stands where its placeholder did.

    >>> message("human", "<image>\\nHi")
    {'role': 'user', 'content': [{'type': 'image'}, {'type': 'text', 'text': 'Hi'}]}
    """
    parts: list[dict[str, str]] = [{"type": "text", "text": text.replace(IMAGE, "").strip()}]
    if IMAGE in text:
        parts.insert(0 if text.startswith(IMAGE) else 1, {"type": "image"})
    return {"role": "user" if role == HUMAN else "assistant", "content": parts}


def rendered(processor: Any, messages: Sequence[Message]) -> str:
    """Messages as text; after a question, with what begins an answer."""
    # Not the processor's own method, which for some families asks for a video processor.
    text: str = processor.tokenizer.apply_chat_template(
        messages,
        chat_template=processor.chat_template,
        add_generation_prompt=messages[-1]["role"] == "user",
        tokenize=False,
    )
    return text

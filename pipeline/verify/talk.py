"""What `verify` checks in conversations of ours (`schemas/conversations.py`): placeholders and boxes."""

from collections.abc import Iterator

from gritmill.schemas import conversations
from gritmill.schemas.conversations import HUMAN, IMAGE, Conversation, Turn, TurnRegion, placeholders


def talk_mistakes(text: str) -> Iterator[tuple[str, str]]:
    """(kind, message) for what is wrong with a record's conversations."""
    try:
        found = conversations.from_json(text)
    except ValueError as error:
        yield "malformed_conversation", str(error).splitlines()[0]
        return
    for i, conversation in enumerate(found):
        for kind, message in _mistakes(conversation):
            yield kind, f"conversations[{i}], {message}"


def _mistakes(conversation: Conversation) -> Iterator[tuple[str, str]]:
    for mistake in conversations.form_mistakes(conversation):
        yield "malformed_conversation", mistake
    turns = conversation.turns
    first = next((i for i, turn in enumerate(turns) if turn.role == HUMAN), 0)
    shown = [turn.text.count(IMAGE) for turn in (*turns[first:], *turns[:first])]
    if shown and (shown[0] != 1 or any(shown[1:])):
        yield "image_placeholder", f"{sum(shown)} of them"
    for i, turn in enumerate(conversation.turns):
        for kind, message in _unmatched(turn):
            yield kind, f"turn {i}: {message}"


def _unmatched(turn: Turn) -> Iterator[tuple[str, str]]:
    asked = placeholders(turn.text)
    have = [number for number, region in enumerate(turn.regions) if region != TurnRegion()]
    for number in sorted(asked - set(range(len(turn.regions)))):
        yield "placeholder_without_box", f"<region:{number}> of {len(turn.regions)} regions"
    for number in sorted(set(have) - asked):
        yield "box_without_placeholder", f"regions[{number}]"
    for phrase in turn.phrases:
        if not phrase.boxes:
            yield "placeholder_without_box", f"phrase {list(phrase.span)}"

"""The part of a card that is the user's, and stays when the card is written anew."""

from gritmill.schemas.errors import UserError

BEGIN = "<!-- yours -->"
END = "<!-- /yours -->"
EMPTY = "\n<!-- What you write between these two markers stays; the rest is written anew each time. -->\n"


def yours_in(card: str, name: str) -> str:
    """What stands between the markers of a card that is there already.

    Raises `UserError` where it has no markers: somebody wrote it by hand, and would lose it.
    """
    _, begin, rest = card.partition(BEGIN)
    text, end, _ = rest.partition(END)
    if not begin or not end:
        raise UserError(
            f"{name} is not ours to write over: put {BEGIN} and {END} around what shall stay, or move it away"
        )
    return text


def between_markers(text: str) -> str:
    """The text with its markers, as it goes into a card."""
    return f"{BEGIN}{text}{END}"

"""What a stage is that makes conversations."""

from gritmill.schemas.conversations import Conversation
from gritmill.stages.base import Stage


class Maker(Stage):
    """A stage that makes conversations, beside those that are there already.

    A conversation is signed by the engine: its provenance says the name that the stage has in the recipe.
    """

    writes = {"conversations": list[Conversation]}
    appends = ("conversations",)

    replace: bool = False
    """Drops the conversations of all stages before, and of the source."""

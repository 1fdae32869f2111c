"""What a model is trained on: an image and a conversation about it."""

from typing import NamedTuple

from PIL.Image import Image as PILImage

from gritmill.schemas.conversations import Conversation


class Example(NamedTuple):
    """A sample of a shard, ready for any model: boxes are numbers still.

    >>> Example("scene-00000012_1", "scene-00000012", image, Conversation([question, answer]), 0)
    """

    key: str
    image_id: str
    image: PILImage
    """RGB, upright."""
    conversation: Conversation


class Bad(NamedTuple):
    """A sample that cannot be trained on: counted and named, never fatal.

    >>> Bad("scene-00000012_1", "image: cannot decode: broken data stream")
    """

    key: str
    reason: str

"""What a language model is asked, and the key under which its reply is found again.

The key covers everything that decides the reply: model, messages, bytes of the images, parameters, format.
Not the server: replies bought from one are good when its address changes, as it does on clusters with
every job. Where the name of a model does not say which weights answer (llama.cpp answers to any name),
a recipe says so by `model_revision`. Keys of an API, time-outs and the like are no part of a request.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from gritmill.stages.generation.tokens import most_tokens

VERSION = 1
"""Of the canonical form. Another one would orphan every reply that was ever kept."""


class Picture(NamedTuple):
    """An image of a message: known by its digest, read when it is sent."""

    sha256: str
    """Of the encoded bytes, as they lie in the source."""
    read: Callable[[], bytes]

    @classmethod
    def of(cls, read: Callable[[], bytes]) -> "Picture":
        """Reads it once to know it, and keeps nothing. Raises what `read` does."""
        return cls(hashlib.sha256(read()).hexdigest(), read)


class Message(NamedTuple):
    """>>> Message("user", "A dog in a field.", None)"""

    role: str
    """`system`, `user` or `assistant`."""
    text: str
    picture: Picture | None = None
    """Stands before the text."""


@dataclass(frozen=True)
class ChatRequest:
    """One request, the same for all backends.

    >>> ChatRequest("gpt-4o", (Message("user", "Hi"),), max_tokens=64, parameters={"temperature": 0.2})
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    """Most tokens of the reply."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Sampling parameters in OpenAI's words: `temperature`, `top_p`, `seed`, ..."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the reply must follow; free text if None."""
    model_revision: str = ""
    max_side: int = 0
    """Larger images are scaled down to this when sent; 0 where there are none."""

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def canonical(self) -> str:
        """Compact JSON, the same for equal requests, with digests for images.

        >>> ChatRequest("m", (Message("user", "Hi"),), 64).canonical()
        '{"max_side":0,"max_tokens":64,"messages":[["user","Hi",null]],"model":"m",...,"version":1}'
        """
        value = {
            "version": VERSION,
            "model": self.model,
            "model_revision": self.model_revision,
            "messages": [[m.role, m.text, m.picture and m.picture.sha256] for m in self.messages],
            "max_tokens": self.max_tokens,
            "max_side": self.max_side,
            "parameters": dict(self.parameters),
            "schema": self.schema,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def pictures(self) -> int:
        return sum(message.picture is not None for message in self.messages)

    def most_tokens_in(self, image_tokens: int) -> int:
        """More tokens than any server counts for it, if an image has at most `image_tokens`."""
        texts = [message.text for message in self.messages]
        if self.schema is not None:
            texts.append(json.dumps(self.schema))
        return most_tokens(texts) + self.pictures * image_tokens

    def asked_again(self, reply: str, mistakes: list[str]) -> "ChatRequest":
        """The same, with the reply that came and what is wrong with it."""
        words = "\n".join(["That reply cannot be used:", *(f"- {m}" for m in mistakes), REMINDER])
        messages = (*self.messages, Message("assistant", reply), Message("user", words))
        return ChatRequest(
            self.model,
            messages,
            self.max_tokens,
            self.parameters,
            self.schema,
            self.model_revision,
            self.max_side,
        )


REMINDER = "Write the whole reply anew, in the form of the examples, without a word about this correction."

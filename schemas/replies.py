"""What a language model answered, with all that says where it came from."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from gritmill.schemas.boxes import Box


class Reply(NamedTuple):
    """One reply, as the column `reply` holds it.

    >>> Reply("conversation", "Question:\\nWhat ...", "openai", "gpt-4o-2024-11-20", "3f9a...", "b2c4...",
    ...       812, 143, "stop")
    """

    task: str
    """Name of the prompt folder that was drawn for the sample: `conversation`, `caption/general`."""
    text: str
    """As it came."""
    backend: str
    """`openai`, `batch`, `transformers`, or `echo`, whose replies no model wrote."""
    model: str
    """What the server says that answered, with its revision if there is one."""
    prompt: str
    """Digest of the prompt folder."""
    request: str
    """SHA-256 of the whole request: the key under which the reply was kept."""
    tokens_in: int
    tokens_out: int
    finish_reason: str
    """`stop`, `length`, `content_filter`, `refusal`."""


class ToldRegion(NamedTuple):
    """A box that a language model was told of, at its full precision.

    >>> Region("dog", Box(0.1, 0.2, 0.5, 0.9))
    """

    label: str
    box: Box


class Exchange(BaseModel):
    """A question about the image and its answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    answer: str


class Exchanges(BaseModel):
    """A reply in the format `json`: `{"turns": [{"question": "...", "answer": "..."}]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turns: list[Exchange]


def exchanges_schema() -> dict[str, Any]:
    """JSON schema of `Exchanges`, for servers that hold a model to one (OpenAI's strict mode takes it)."""
    return Exchanges.model_json_schema()

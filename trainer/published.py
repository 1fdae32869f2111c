"""What others published (`published.yaml`), for the sets and protocols that we measure too."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gritmill.trainer.metrics import Score

FILE = Path(__file__).with_name("published.yaml")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedScore(_Entry):
    """Scores of a model under one protocol.

    >>> published_for("refcoco_val", "rec/first_box@0.5")[0].scores["refcoco_val"]
    52.32
    """

    model: str
    protocol: str
    trained: Literal["yes", "no", "unknown"]
    """Whether the model saw training data of the set."""
    verified: bool
    """Read in the source; otherwise from memory."""
    source: str
    note: str | None = None
    scores: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(min_length=1)
    """Set -> score, times 100."""


class _Set(_Entry):
    questions: int
    verified: bool


class _File(_Entry):
    sets: dict[str, _Set]
    scores: list[PublishedScore]


class Beside(NamedTuple):
    """A published score next to one of ours."""

    ours: Score
    set: str
    published: PublishedScore
    warning: str | None
    """Why the two are not of the same questions after all."""


def published_for(name: str, protocol: str) -> list[PublishedScore]:
    """What was published for a set of this name under exactly this protocol."""
    return [entry for entry in _file().scores if entry.protocol == protocol and name in entry.scores]


def beside(name: str, score: Score) -> list[Beside]:
    """The published scores that belong beside one of ours, on the set `name`."""
    known = _file().sets.get(name)
    # Captions and generated expressions have a question an image or object, grounding one a phrase.
    counted = score.protocol.startswith(("rec/", "phrase_grounding/"))
    warning = None
    if known and counted and known.questions != score.n:
        warning = f"ours is of {score.n:,} questions, the published set has {known.questions:,}"
    return [Beside(score, name, entry, warning) for entry in published_for(name, score.protocol)]


@cache
def _file() -> _File:
    return _File.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))

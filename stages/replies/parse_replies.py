"""Replies of a language model -> training conversations, each with where it came from."""

import hashlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field

from gritmill import prompts
from gritmill.prompts.few_shot import Format
from gritmill.schemas.boxes import Box
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.conversations import (
    ASSISTANT,
    HUMAN,
    Conversation,
    Provenance,
    Turn,
    TurnRegion,
    placeholder,
    shielded,
    with_image,
)
from gritmill.schemas.replies import Reply, ToldRegion
from gritmill.stages.maker import Maker
from gritmill.stages.replies import formats, regions

UNUSABLE = {"length": "truncated", "content_filter": "filtered", "refusal": "refusal"}
"""Finish reasons that leave nothing to read, and what a reply is rejected as."""

_OURS = ("detail", "brief")


class ParseReplies(Maker):
    """Reply -> a conversation about the image, boxes left as numbers, and its provenance.

    "Question:\\nWhat is it?\\n===\\nAnswer:\\nA dog [0.100, 0.200, 0.500, 0.900].\\n===" ->
    human: "<image> What is it?"  assistant: "A dog <region:0>."

    A prompt folder's own examples say how its replies are read: LLaVA's questions and answers, a plain
    answer (its question is drawn from a list), or JSON (`schemas.replies.Exchanges`). Rejects: empty,
    truncated, filtered, refusal (as the server says), bad_format, unknown_box (not in the context).
    """

    reads = ("key", "reply", "context_regions")

    batch_size: int = Field(default=4096, ge=1)
    formats: dict[str, Format] = Field(default_factory=dict)
    """Formats of prompt folders whose examples do not say it: `{my_prompts/: json}`."""
    questions: str = "detail"
    """Questions for plain answers: `detail` or `brief` (prompts/questions/), or a text file, one a line."""
    image: Literal["before", "after", "either"] = "either"
    """Where `<image>` stands in the first question, on a line of its own; LLaVA's is on either side."""
    seed: int = 0
    """Another seed draws other questions and sides."""

    def problems(self) -> list[str]:
        if self.questions in _OURS:
            return []
        if not Path(self.questions).is_file():
            return [
                f"questions: there is no file {self.questions!r}; give a text file, or: {', '.join(_OURS)}"
            ]
        return [] if _questions(self.questions) else [f"questions: {self.questions!r} holds no question"]

    def revision(self) -> dict[str, str]:
        return {"questions": hashlib.sha256("\n".join(_questions(self.questions)).encode()).hexdigest()[:16]}

    def process(self, batch: Columns) -> Columns:
        rows = zip(*(batch[name] for name in self.reads), strict=True)
        return {"conversations": [self._row(*row) for row in rows]}

    def _row(self, key: str, reply: Reply, known: list[ToldRegion]) -> list[Conversation] | Reject:
        if reply.finish_reason in UNUSABLE:
            return Reject(UNUSABLE[reply.finish_reason], reply.tokens_out)
        if not reply.text.strip():
            return Reject("empty")
        # Seeded by text, which Python hashes with SHA-512: the same numbers on every machine.
        rng = Random(f"{self.seed}:{key}")  # noqa: S311 (nothing secret here)
        question = rng.choice(_questions(self.questions))
        before = self.image == "before" or (self.image == "either" and rng.random() < 0.5)
        try:
            format = self.formats.get(reply.task) or formats.format_of(reply.task)
            found = formats.exchanges(reply.text, format)
            said = [text for e in found for text in (e.question or question, e.answer)]
            turns = [_turn((HUMAN, ASSISTANT)[i % 2], reply.task, text, known) for i, text in enumerate(said)]
        except regions.UnknownBox as error:
            return Reject("unknown_box", error)
        except ValueError as error:
            return Reject("bad_format", error)
        first = turns[0]._replace(text=with_image(turns[0].text, before))
        return [Conversation([first, *turns[1:]], _provenance(reply))]


def _turn(role: str, task: str, text: str, known: list[ToldRegion]) -> Turn:
    """Boxes become placeholders; nothing else of the text can be one."""
    boxes: dict[Box, int] = {}
    pieces = [
        shielded(piece) if isinstance(piece, str) else placeholder(boxes.setdefault(piece, len(boxes)))
        for piece in regions.split(text, known)
    ]
    return Turn(role, task, "".join(pieces), [TurnRegion([box]) for box in boxes], [])


def _provenance(reply: Reply) -> Provenance:
    said = {name: value for name, value in reply._asdict().items() if name != "text"}
    return Provenance(**said)


@cache
def _questions(name: str) -> tuple[str, ...]:
    if name in _OURS:
        return prompts.word_list(f"questions/{name}")
    lines = Path(name).read_text(encoding="utf-8-sig").splitlines()
    return tuple(shielded(line.strip()) for line in lines if line.strip() and not line.startswith("#"))

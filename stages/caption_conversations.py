"""Captions -> one question and one answer each, as LLaVA's projector is trained on them."""

from random import Random
from typing import Literal

from gritmill import prompts
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.conversations import ASSISTANT, HUMAN, Conversation, Turn, shielded, with_image
from gritmill.stages.common.templates import from_templates
from gritmill.stages.maker import Maker

QUESTIONS = "questions/brief"


class CaptionConversations(Maker):
    """Caption -> a request for a short description, and the caption as the answer.

    "a red kite over the sea" ->
    human: "<image> Give a brief description of this image."  assistant: "a red kite over the sea"

    The request is drawn from prompts/questions/brief.txt by the sample's key; captions are never reworded.
    """

    reads = ("key", "caption")

    image: Literal["before", "after", "either"] = "either"
    """Where `<image>` stands in the request, on a line of its own; LLaVA's is on either side."""
    seed: int = 0
    """Another seed draws other requests and sides."""

    def revision(self) -> dict[str, str]:
        return {QUESTIONS: prompts.digest(QUESTIONS)}

    def process(self, batch: Columns) -> Columns:
        questions = prompts.word_list(QUESTIONS)
        rows = zip(batch["key"], batch["caption"], strict=True)
        return {"conversations": [self._row(key, caption, questions) for key, caption in rows]}

    def _row(self, key: str, caption: str, questions: tuple[str, ...]) -> list[Conversation] | Reject:
        answer = shielded(caption).strip()
        if not answer:
            return Reject("empty")
        # Seeded by text, which Python hashes with SHA-512: the same numbers on every machine.
        rng = Random(f"{self.seed}:{key}")  # noqa: S311 (nothing secret here)
        question = rng.choice(questions)
        before = self.image == "before" or (self.image == "either" and rng.random() < 0.5)
        request = Turn(HUMAN, "caption", with_image(question, before), [], [])
        turns = [request, Turn(ASSISTANT, "caption", answer, [], [])]
        return [Conversation(turns, from_templates(["caption"], [QUESTIONS]))]

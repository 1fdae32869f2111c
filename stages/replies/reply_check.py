"""Drops replies of a language model that should not become training data."""

from pydantic import Field

from gritmill import prompts
from gritmill.prompts.few_shot import Format
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.replies import Reply
from gritmill.stages.base import Stage
from gritmill.stages.grounders.common.lexicon import labels
from gritmill.stages.replies import contexts, formats, objects
from gritmill.stages.replies.checks import Rules, findings
from gritmill.stages.replies.checks import problems as problems
from gritmill.stages.replies.parse_replies import UNUSABLE

LISTS = (
    "compound_heads",
    "doubtful_names",
    "english_words",
    "refusals",
    "source_mentions",
    "uncertain_words",
)


class ReplyCheck(Rules, Stage):
    """Reply -> the things it names that nobody told it of, or the reason to drop it.

    "I'm sorry, but I cannot see the image." -> Reject("refusal", "i'm sorry")

    Reasons: truncated, filtered, refusal, empty, too_long, bad_format, echo (of the prompt, its examples
    or the context), repeated, mention (of captions or boxes), box, unknown_box, language, unsupported.
    Each is a test of words that may err; the word lists are prompts/replies/*.txt. What models quote from
    signs and pages counts neither for nor against them.
    """

    reads = ("reply", "context")
    writes = {"unsupported": list[str]}

    formats: dict[str, Format] = Field(default_factory=dict)
    """Formats of prompt folders whose examples do not say it: `{my_prompts/: json}`."""

    def revision(self) -> dict[str, str]:
        return {name: prompts.digest(f"replies/{name}") for name in LISTS} | {
            labels.TABLE: prompts.digest(labels.TABLE)
        }

    def process(self, batch: Columns) -> Columns:
        return {
            "unsupported": [self._check(*row) for row in zip(batch["reply"], batch["context"], strict=True)]
        }

    def _check(self, reply: Reply, context: str) -> list[str] | Reject:
        if reply.finish_reason in UNUSABLE:
            return Reject(UNUSABLE[reply.finish_reason], reply.tokens_out)
        format = self.formats.get(reply.task) or formats.format_of(reply.task)
        for finding in findings(reply.text, context, format, self, reply.task):
            return Reject(finding.reason, finding.value)
        return objects.unsupported(formats.exchanges(reply.text, format), contexts.read(context))

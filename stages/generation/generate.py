"""Replies of a language model for each sample: prompts drawn, asked, kept, paid for once.

The stage is the same for all backends (`stages/generation/backends/`); each adds its own options.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field, PrivateAttr

from gritmill.prompts import few_shot
from gritmill.prompts.few_shot import FewShot
from gritmill.schemas.columns import Columns, Reject
from gritmill.schemas.errors import UserError
from gritmill.schemas.images import Image
from gritmill.schemas.replies import Reply
from gritmill.stages.base import Stage
from gritmill.stages.generation.backends.base import Completion
from gritmill.stages.generation.calls import Caller, Stopped
from gritmill.stages.generation.estimate import Estimate
from gritmill.stages.generation.loop import Loop
from gritmill.stages.generation.request import ChatRequest, Message, Picture
from gritmill.stages.generation.spending import OverBudgetError, Prices, Tokens
from gritmill.stages.generation.store import ReplyStore, default_folder
from gritmill.stages.generation.tokens import likely_tokens
from gritmill.stages.replies.checks import problems

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]

LONGEST = 200_000
"""Characters; a reply beyond is a server gone wild."""


class Generate(Stage):
    """Context (and image) -> what a language model replied, found on the disk if it was asked before.

    The system message of a prompt folder, its examples as alternating turns, then the sample's context:
    "A dog in a field." -> Reply("conversation", "Question:\\nWhat ...", "openai", "gpt-4o-2024-11-20", ...)

    A sample whose request fails for good is rejected: `server_error` (after all attempts), `bad_request`
    (the server refuses this very request), `unreadable_image`, `too_long`; the value is what the server
    said. Replies that are cut off, filtered or refused come through, for `parse_replies` to reject.
    """

    reads: ClassVar[tuple[str, ...]] = ("key", "context", "image")
    writes: ClassVar[dict[str, Any]] = {"reply": Reply}
    one_worker: ClassVar[bool] = True
    run_options: ClassVar[frozenset[str]] = Stage.run_options | {"replies"}

    batch_size: int = Field(default=2000, ge=1)

    backend: str
    """Who answers."""
    prompts: str | dict[str, Weight] = Field(
        default={"conversation": 58.0, "detail_description": 23.0, "complex_reasoning": 77.0}, min_length=1
    )
    """Prompt folders with weights, of which each sample draws one; or a single folder. By a name of ours, or
    by path. The default are the proportions of LLaVA-Instruct-158K."""
    seed: int = 0
    """Another seed draws other prompts."""
    image: bool = False
    """Whether the model is shown the image itself."""
    max_tokens: int = Field(default=1024, ge=1)
    """Most tokens of a reply."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """How freely the model chooses its words; null leaves it to the server."""
    reask: int = Field(default=0, ge=0, le=3)
    """How often a model is asked again, with what was wrong with its reply. The last reply counts."""
    replies: str | None = None
    """Folder that keeps all replies, of all recipes; null is $GRITMILL_REPLIES, or else
    ~/.cache/gritmill/replies. On a cluster, a folder that all machines share."""

    _caller: Caller = PrivateAttr()
    _loop: Loop = PrivateAttr()

    def problems(self) -> list[str]:
        found: list[str] = []
        for folder in self._weights:
            try:
                few_shot.load(folder)
            except UserError as error:
                found.append(str(error))
        return found

    def revision(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for folder in sorted(self._weights):
            try:
                found[folder] = few_shot.digest(folder)
            except UserError:  # `problems` says so
                found[folder] = ""
        return found

    def setup(self) -> None:
        self._caller = self.make_caller()
        # One loop for the life of the worker: connections and the pace outlast a batch.
        self._loop = Loop()

    def make_caller(self) -> Caller:
        """The backend with all that stands around it."""
        raise NotImplementedError

    @property
    def calls_at_once(self) -> int:
        """Samples that are worked on at the same time."""
        return 16

    def process(self, batch: Columns) -> Columns:
        return {"reply": self._loop.run(self._replies(batch))}

    async def _replies(self, batch: Columns) -> list[Reply | Reject]:
        self._caller.resume()
        rows = iter(list(enumerate(zip(*(batch[name] for name in self.reads), strict=True))))
        replies: list[Reply | Reject | None] = [None] * len(batch["key"])

        async def work() -> None:
            for number, (key, context, image) in rows:
                replies[number] = await self._reply(key, context, image)

        workers = [asyncio.create_task(work()) for _ in range(min(self.calls_at_once, len(replies)))]
        done, under_way = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        if under_way:
            # Replies under way are paid for: they are waited for and kept, then the error is told.
            self._caller.stop()
            await asyncio.wait(under_way)
            done |= under_way
        errors = [error for worker in done if (error := worker.exception())]
        if errors:
            raise self._told(errors, left=replies.count(None))
        return [reply for reply in replies if reply is not None]

    def _told(self, errors: Sequence[BaseException], left: int) -> BaseException:
        error = next((e for e in errors if not isinstance(e, Stopped)), errors[0])
        if not isinstance(error, OverBudgetError):
            return error
        budget = self._caller.budget
        assert budget is not None and budget.max_cost is not None
        return UserError(
            f"max_cost of {budget.max_cost:g} reached: {budget.spent:.4f} are spent, and the next call "
            f"might not fit; {left:,} samples of this batch are left. Raise max_cost and run again: every "
            "reply is kept."
        )

    async def _reply(self, key: str, context: str, image: Image) -> Reply | Reject:
        prompt = self.drawn(key)
        try:
            request = (
                await asyncio.to_thread(self.request, prompt, context, image)
                if self.image
                else self.request(prompt, context, image)
            )
        except (OSError, ValueError) as error:
            return Reject("unreadable_image", error)
        answer = await self._caller.reply(request)
        for _ in range(self.reask):
            if isinstance(answer, Reject) or not (mistakes := self._mistakes(answer, prompt, context)):
                break
            request = request.asked_again(answer.text, mistakes)
            answer = await self._caller.reply(request)
        return answer if isinstance(answer, Reject) else as_reply(prompt, request.key, answer)

    def _mistakes(self, answer: Completion, prompt: FewShot, context: str) -> list[str]:
        if answer.finish_reason != "stop":  # asking again would end in the same way
            return []
        return problems(answer.text, context, prompt.format, task=prompt.name)

    def drawn(self, key: str) -> FewShot:
        """The prompt folder of a sample."""
        names = sorted(self._weights)
        # Seeded by text, which Python hashes with SHA-512: the same numbers on every machine.
        rng = Random(f"{self.seed}:{key}")  # noqa: S311 (nothing secret here)
        [name] = rng.choices(names, [self._weights[name] for name in names])
        return loaded(name)

    def request(self, prompt: FewShot, context: str, image: Image) -> ChatRequest:
        """What is asked of a sample. Raises `OSError` where its image cannot be read."""
        picture = Picture.of(image.read) if self.image else None
        messages = [Message("system", prompt.system)]
        for shot in prompt.shots:
            messages += [Message("user", shot.shown), Message("assistant", shot.wanted)]
        messages.append(Message("user", context, picture))
        return ChatRequest(
            messages=tuple(messages), max_tokens=self.max_tokens, **self.request_options(prompt)
        )

    def request_options(self, prompt: FewShot) -> dict[str, Any]:
        """The rest of a request: model, parameters, format."""
        raise NotImplementedError

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling parameters that are set."""
        return {} if self.temperature is None else {"temperature": self.temperature}

    def estimate(self, sample: Columns) -> Estimate:
        """What the samples given will cost. Makes no call; replies that are kept cost nothing.

        Tokens in are estimated from above without a tokenizer (`stages/generation/tokens.py`). A reply is
        taken to be as long as the longest example of its prompt, and never longer than `max_tokens`.
        """
        store = ReplyStore(self.replies_folder)
        asked: dict[str, Tokens] = {}
        for key, context, image in zip(*(sample[name] for name in self.reads), strict=True):
            prompt = self.drawn(key)
            try:
                request = self.request(prompt, context, image)
            except (OSError, ValueError):  # will be rejected
                continue
            if request.key not in asked and store.get(request.key) is None:
                asked[request.key] = Tokens(self._likely_in(request), self._likely_out(prompt))
        tokens = Tokens(sum(t.tokens_in for t in asked.values()), sum(t.tokens_out for t in asked.values()))
        prices = self.price_table
        return Estimate(len(asked), *tokens, cost=prices.cost(tokens) if prices else None)

    def _likely_in(self, request: ChatRequest) -> int:
        texts = likely_tokens(message.text for message in request.messages)
        return texts + request.pictures * self.tokens_of_image

    def _likely_out(self, prompt: FewShot) -> int:
        wanted = [likely_tokens([shot.wanted]) for shot in prompt.shots]
        return min(self.max_tokens, max(wanted, default=self.max_tokens))

    @property
    def price_table(self) -> Prices | None:
        """What tokens cost; None where nobody asks for money or the recipe does not say."""
        return None

    @property
    def tokens_of_image(self) -> int:
        """Most tokens that an image counts."""
        return 0

    @property
    def replies_folder(self) -> Path:
        return Path(self.replies).expanduser() if self.replies else default_folder()

    @property
    def _weights(self) -> Mapping[str, float]:
        return {self.prompts: 1.0} if isinstance(self.prompts, str) else self.prompts


@cache
def loaded(folder: str) -> FewShot:
    """Read once in a process: a folder that is edited while a run goes on changes nothing in it."""
    return few_shot.load(folder)


def as_reply(prompt: FewShot, request: str, answer: Completion) -> Reply | Reject:
    """What goes into the column; `request` is the request's key."""
    if len(answer.text) > LONGEST:
        return Reject("too_long", f"{len(answer.text)} characters", LONGEST)
    return Reply(
        task=prompt.name,
        text=answer.text,
        backend=answer.backend,
        model=answer.model,
        prompt=prompt.digest,
        request=request,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        finish_reason=answer.finish_reason,
    )

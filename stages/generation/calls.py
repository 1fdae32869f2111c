"""A request -> its reply: from the disk if it was ever bought, or else from the backend.

Everything that makes a call safe is here, once for all backends: nothing is bought twice, the budget
holds, the pace is kept, and what fails for a moment is tried again.
"""

import asyncio
from random import Random

from gritmill.schemas.columns import Reject
from gritmill.schemas.errors import UserError
from gritmill.stages.generation.backends.base import Backend, Completion, Fault
from gritmill.stages.generation.limits import Pace
from gritmill.stages.generation.request import ChatRequest
from gritmill.stages.generation.spending import NOTHING, Budget, Tokens
from gritmill.stages.generation.store import ReplyStore
from gritmill.stages.generation.tokens import likely_tokens

LONGEST_WAIT = 60.0
"""Seconds between two tries, where the server asks for no other time."""
PATIENCE = 600.0
"""A server that asks to wait longer than this has run out of something: a day's quota."""


class Stopped(Exception):
    """Another call ended the run; this one was not begun."""


class Caller:
    """Calls of one process; any number may be awaited at once."""

    def __init__(
        self,
        backend: Backend,
        store: ReplyStore | None,
        pace: Pace,
        budget: Budget | None = None,
        *,
        attempts: int = 1,
        first_wait: float = 1.0,
        image_tokens: int = 0,
    ) -> None:
        self.backend = backend
        self.store = store
        self.pace = pace
        self.budget = budget
        self.attempts = attempts
        self.first_wait = first_wait
        self.image_tokens = image_tokens
        self._asked: dict[str, asyncio.Task[Completion | Reject]] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begins no further call; those under way go on, since they are paid for."""
        self._stop.set()

    def resume(self) -> None:
        """Calls may begin again: the engine tries the halves of a batch that failed."""
        self._stop.clear()

    async def reply(self, request: ChatRequest) -> Completion | Reject:
        """Raises `UserError` where no call can succeed, `OverBudgetError`, and `Stopped`."""
        task = self._asked.get(request.key)
        if task is None:
            task = self._asked[request.key] = asyncio.create_task(self._reply(request))
            task.add_done_callback(lambda _: self._asked.pop(request.key))
        return await task

    async def _reply(self, request: ChatRequest) -> Completion | Reject:
        if self.store is not None:
            kept = await asyncio.to_thread(self.store.get, request.key)
            if kept is not None:
                return kept
        for attempt in range(1, self.attempts + 1):
            if self._stop.is_set():
                raise Stopped
            try:
                return await self._call(request)
            except Fault as fault:
                if not fault.again:
                    return Reject(fault.reason, fault)
                if (fault.wait or 0) > PATIENCE:
                    raise UserError(
                        f"the server asks to wait {fault.wait:,.0f} seconds: {fault}. "
                        "Run again then: every reply is kept."
                    ) from fault
                if attempt == self.attempts:
                    return Reject(fault.reason, fault, f"{attempt} attempts")
                await self._sleep(self._wait(request, attempt) if fault.wait is None else fault.wait)
        raise AssertionError("no attempts")

    async def _call(self, request: ChatRequest) -> Completion:
        most = Tokens(request.most_tokens_in(self.image_tokens), request.max_tokens)
        likely = likely_tokens(m.text for m in request.messages) + request.pictures * self.image_tokens
        call = ""
        cost: Tokens | None = None
        try:
            async with self.pace.turn(likely + request.max_tokens) as begun:
                call = await self.budget.set_aside(most) if self.budget else ""
                completion = await self.backend.complete(request)
            cost = Tokens(completion.tokens_in, completion.tokens_out)
            if self.store is not None:
                await asyncio.to_thread(self.store.put, request.key, completion)
        except Fault as fault:
            cost = None if fault.charged else NOTHING
            if fault.throttled:
                self.pace.throttled(begun, fault.wait)
            raise
        finally:
            if self.budget and call:
                self.budget.settle(call, cost)
        self.pace.succeeded()
        self._check(cost, most)
        return completion

    def _check(self, cost: Tokens, most: Tokens) -> None:
        """What counts as more than the most makes every budget void."""
        if self.budget is None or self.budget.max_cost is None:
            return
        if cost.tokens_in > most.tokens_in:
            raise UserError(
                f"the server counted {cost.tokens_in:,} tokens for a request that has {most.tokens_in:,} "
                "at most, so max_cost cannot be kept. Set image_tokens to what an image counts there."
            )
        if cost.tokens_out > most.tokens_out:
            raise UserError(
                f"the server wrote {cost.tokens_out:,} tokens where max_tokens is {most.tokens_out:,}, so "
                "max_cost cannot be kept. Use a server that respects max_tokens, or set no max_cost."
            )

    def _wait(self, request: ChatRequest, attempt: int) -> float:
        """Twice as long each time, give or take half, so that those who failed together part."""
        spread = 0.5 + Random(f"{request.key}:{attempt}").random()  # noqa: S311 (nothing secret here)
        return min(LONGEST_WAIT, self.first_wait * 2 ** (attempt - 1)) * spread

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

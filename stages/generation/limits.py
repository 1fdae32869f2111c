"""How fast a server is asked: calls at once, requests and tokens a minute, and holding back when told to.

One `Pace` is shared by all calls of a process, and one process makes all calls of a stage.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

MINUTE = 60.0
BURST = 1.0
"""Seconds of a rate that may be used at once: in no minute is it exceeded by more than a sixtieth."""


class Rate:
    """A token bucket: so many a minute, in bursts of at most a second's worth, or of a single call."""

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = None if per_minute is None else per_minute / MINUTE
        self._clock = clock
        self._level = 0.0
        self._filled = clock()

    def delay(self) -> float:
        """Seconds until something may be taken."""
        if self._per_second is None:
            return 0.0
        now = self._clock()
        self._level = min(self._level + (now - self._filled) * self._per_second, BURST * self._per_second)
        self._filled = now
        return max(0.0, -self._level / self._per_second)

    def take(self, amount: float) -> None:
        """May leave a debt, which the next one waits for: a call may be larger than a burst."""
        self._level -= amount


class Pace:
    """Lets calls pass, first come, first served.

    A server that says it has too much to do halves the number of calls at once, and every call waits as
    long as it asks; each success brings the number up again, by about one for as many calls as are
    allowed.
    """

    def __init__(self, concurrency: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self.concurrency = concurrency
        self._room = float(concurrency)
        self._active = 0
        self._requests = Rate(rpm)
        self._tokens = Rate(tpm)
        self._not_before = 0.0
        self._cut_at = 0.0
        self._door = asyncio.Lock()
        self._left = asyncio.Event()

    @property
    def room(self) -> int:
        """Calls that may be under way at once, for now."""
        return max(1, int(self._room))

    @asynccontextmanager
    async def turn(self, tokens: float) -> AsyncIterator[float]:
        """Waits for a turn; gives the time at which the call begins."""
        async with self._door:
            while True:
                if self._active >= self.room:
                    self._left.clear()
                    await self._left.wait()
                elif delay := self._delay():
                    await asyncio.sleep(delay)
                else:
                    break
            self._requests.take(1)
            self._tokens.take(tokens)
            self._active += 1
        try:
            yield time.monotonic()
        finally:
            self._active -= 1
            self._left.set()

    def succeeded(self) -> None:
        self._room = min(float(self.concurrency), self._room + 1 / self._room)

    def throttled(self, begun: float, wait: float | None) -> None:
        """The call that began at `begun` was told that it is one too many."""
        now = time.monotonic()
        # Calls that were under way when the others were held back say nothing new.
        if begun >= self._cut_at:
            self._room = max(1.0, self._room / 2)
            self._cut_at = now
        if wait:
            self._not_before = max(self._not_before, now + wait)

    def _delay(self) -> float:
        return max(self._not_before - time.monotonic(), self._requests.delay(), self._tokens.delay(), 0.0)

"""How fast a server is asked."""

import asyncio
import time

import pytest

from gritmill.stages.generation.limits import Pace, Rate


def test_a_rate_is_never_exceeded() -> None:
    now = 0.0
    rate = Rate(120, clock=lambda: now)
    begun = []
    for _ in range(200):
        delay = rate.delay()
        now += delay + 1e-9
        rate.take(1)
        begun.append(now)
    for first in begun:
        assert sum(first <= t < first + 60 for t in begun) <= 122
    assert begun[-1] == pytest.approx(99.5, abs=1.1)


def test_a_call_larger_than_a_burst_is_waited_for_afterwards() -> None:
    now = 0.0
    rate = Rate(600, clock=lambda: now)
    rate.take(100)
    assert rate.delay() == pytest.approx(10)
    now = 10.1
    assert rate.delay() == 0


def test_no_rate_no_delay() -> None:
    rate = Rate(None)
    rate.take(1e9)
    assert rate.delay() == 0


def most_at_once(pace: Pace, calls: int) -> int:
    active = most = 0

    async def call() -> None:
        nonlocal active, most
        async with pace.turn(1):
            active += 1
            most = max(most, active)
            await asyncio.sleep(0.002)
            active -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(call() for _ in range(calls)))

    asyncio.run(all_of_them())
    return most


def test_no_more_calls_at_once_than_allowed() -> None:
    assert most_at_once(Pace(5), 40) == 5


def test_a_busy_server_is_asked_less_and_then_more_again() -> None:
    pace = Pace(16)
    begun = time.monotonic()
    pace.throttled(begun, None)
    assert pace.room == 8
    # Calls that were under way by then do not count again.
    pace.throttled(begun, None)
    assert pace.room == 8
    for _ in range(10):
        pace.throttled(time.monotonic(), None)
    assert pace.room == 1
    for _ in range(200):
        pace.succeeded()
    assert pace.room == 16


def test_all_calls_wait_as_long_as_the_server_asks() -> None:
    async def waited() -> float:
        pace = Pace(4)
        begun = time.monotonic()
        pace.throttled(begun, 0.2)
        async with pace.turn(1):
            return time.monotonic() - begun

    assert asyncio.run(waited()) >= 0.2


def test_a_call_that_fails_gives_its_turn_back() -> None:
    pace = Pace(1)

    async def fail_twice() -> None:
        for _ in range(2):
            with pytest.raises(ValueError):
                async with pace.turn(1):
                    raise ValueError

    asyncio.run(asyncio.wait_for(fail_twice(), 5))

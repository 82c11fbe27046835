"""A slow request is made twice, the first success counts, and nothing is left running, nor written by the one that lost."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import NotFound, StoreUnavailable
from bucket_brigade.s3.governor import HEDGED_FOR_S, SLOW_S, USUAL_FROM, Governor
from bucket_brigade.s3.hedging import ALWAYS_ALLOWED, BUDGET, HEDGED_BYTES, Hedger
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import RetrySettings


async def after(seconds: float, result: str) -> str:
    await asyncio.sleep(seconds)
    return result


async def never() -> str:
    await asyncio.Event().wait()
    return "never"


async def fails() -> str:
    raise StoreUnavailable("no")


async def test_what_is_answered_in_time_is_asked_for_once() -> None:
    hedger = Hedger()
    assert await hedger.run(lambda: after(0, "first"), never, after_s=0.05, answers=0) == "first"
    await asyncio.sleep(0.06)
    assert hedger.made == 0


async def test_the_second_wins_where_the_first_hangs() -> None:
    hedger = Hedger()
    assert await hedger.run(never, lambda: after(0, "second"), after_s=0.01, answers=0) == "second"
    assert (hedger.made, hedger.won) == (1, 1)


async def test_the_first_wins_where_the_second_hangs_or_fails() -> None:
    hedger = Hedger()
    for second in (never, fails):
        assert await hedger.run(lambda: after(0.03, "first"), second, after_s=0.01, answers=0) == "first"
    assert (hedger.made, hedger.won) == (2, 0)


async def test_an_error_of_the_first_is_told() -> None:
    async def late() -> str:
        await asyncio.sleep(0.03)
        raise NotFound("gone")

    with pytest.raises(NotFound):
        await Hedger().run(late, never, after_s=0.01, answers=0)


async def test_who_waits_can_be_cancelled_at_any_time() -> None:
    for delay_s in (0.0, 0.005, 0.02, 0.03):
        hedger = Hedger()
        waiting = asyncio.create_task(hedger.run(never, never, after_s=0.01, answers=0))
        await asyncio.sleep(delay_s)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_time_limit_around_it_still_holds() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03):
            await Hedger().run(never, never, after_s=0.01, answers=0)
    async with asyncio.timeout(1):
        assert await Hedger().run(never, lambda: after(0, "second"), after_s=0.01, answers=0) == "second"
        await asyncio.sleep(0)


async def test_second_requests_have_a_budget() -> None:
    hedger = Hedger()
    hedger.made = ALWAYS_ALLOWED + int(BUDGET * 1000)
    assert await hedger.run(lambda: after(0.03, "first"), fails, after_s=0.01, answers=1000) == "first"
    assert hedger.made == ALWAYS_ALLOWED + int(BUDGET * 1000)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def met(governor: Governor, clock: Clock, took_s: float, times: int = 1) -> None:
    for _ in range(times):
        governor.in_flight += 1
        sent_at = clock.now
        clock.now += took_s
        governor.answered(sent_at)


def test_slow_answers_among_quick_ones_arm_it_for_a_while() -> None:
    clock = Clock()
    governor = Governor(auto=False, now=clock)
    met(governor, clock, 0.01, 2 * USUAL_FROM)
    assert governor.hedge_after_s == 0
    met(governor, clock, 5.0)
    assert SLOW_S <= governor.hedge_after_s < 5
    met(governor, clock, 0.01, 10)
    assert governor.hedge_after_s > 0
    clock.now += HEDGED_FOR_S
    met(governor, clock, 0.01, 2)
    assert governor.hedge_after_s == 0


def test_an_endpoint_that_is_slow_as_a_whole_is_asked_once() -> None:
    clock = Clock()
    governor = Governor(auto=False, now=clock)
    met(governor, clock, 3.0, 2 * USUAL_FROM)
    met(governor, clock, 9.0)
    assert governor.hedge_after_s == 0


@pytest.mark.parametrize("method", ["get", "head"])
async def test_a_read_that_hangs_is_made_again_and_the_buffer_is_right(method: str) -> None:
    inner = MemoryStore("b")
    await inner.put_object("b", "k", b"content")

    async def hang(call: Call) -> None:
        if "into" in call.arguments:
            call.arguments["into"][:3] = b"XXX"  # what a request that hangs has written so far
        await asyncio.Event().wait()

    name = f"{method}_object"
    faulty = FaultyStore(inner, [Fault(operation=name, does=hang)])
    governor = Governor()
    governor.hedge_after_s = 0.01
    governor._hedge_until = float("inf")
    store = RetryingStore(cast("Store", faulty), RetrySettings(), governor)
    if method == "get":
        content = bytearray(7)
        await store.get_object("b", "k", memoryview(content))
        assert content == b"content"
    else:
        assert (await store.head_object("b", "k")).size == 7
    assert store.hedger.won == 1
    assert governor.in_flight == 0


async def test_large_bodies_are_read_once() -> None:
    inner = MemoryStore("b")
    await inner.put_object("b", "k", bytes(HEDGED_BYTES + 1))
    governor = Governor()
    governor.hedge_after_s = 1e-9
    store = RetryingStore(inner, RetrySettings(), governor)
    await store.get_object("b", "k", memoryview(bytearray(HEDGED_BYTES + 1)))
    assert store.hedger.made == 0

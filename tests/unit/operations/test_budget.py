from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.operations.budget import POOLED_FROM_BYTES, ByteBudget


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_big_claim_is_not_overtaken_by_small_ones() -> None:
    budget = ByteBudget(10)
    await budget.acquire(6)
    order: list[str] = []

    async def claim(name: str, size: int) -> None:
        async with budget.claim(size):
            order.append(name)

    waiting = [asyncio.create_task(claim("big", 8)), asyncio.create_task(claim("small", 1))]
    await turns()
    assert order == []
    budget.release(6)
    await asyncio.gather(*waiting)
    assert order == ["big", "small"]
    assert budget.held_bytes == 0


async def test_a_claim_above_the_total_passes_alone() -> None:
    budget = ByteBudget(10)
    await budget.acquire(1)
    waiting = asyncio.create_task(budget.acquire(1000))
    await turns()
    assert not waiting.done()
    budget.release(1)
    await waiting
    assert budget.held_bytes == 10
    budget.release(1000)
    assert budget.held_bytes == 0


async def test_whoever_is_cancelled_in_the_row_lets_the_others_pass() -> None:
    budget = ByteBudget(10)
    await budget.acquire(5)
    big = asyncio.create_task(budget.acquire(8))
    small = asyncio.create_task(budget.acquire(5))
    await turns()
    big.cancel()
    await small
    assert budget.held_bytes == 10


async def test_a_release_in_the_turn_of_a_cancellation_passes_over_the_cancelled() -> None:
    """As when a group of part uploads is cancelled: who holds bytes gives them back before who waits has run."""
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting, behind = asyncio.create_task(budget.acquire(4)), asyncio.create_task(budget.acquire(10))
    await turns()
    waiting.cancel()
    budget.release(10)
    await behind
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.held_bytes == 10


async def test_a_grant_that_arrives_with_the_cancellation_is_given_back() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(4))
    await turns()
    budget.release(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.held_bytes == 0


async def test_a_used_buffer_is_lent_again_but_not_after_an_error() -> None:
    budget = ByteBudget(4 * POOLED_FROM_BYTES)
    async with budget.buffer(POOLED_FROM_BYTES) as first:
        memory = first.obj
        assert len(first) == POOLED_FROM_BYTES
    async with budget.buffer(POOLED_FROM_BYTES) as second:
        assert second.obj is memory

    async def fail() -> None:
        async with budget.buffer(POOLED_FROM_BYTES) as third:
            assert third.obj is memory
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with budget.buffer(POOLED_FROM_BYTES) as fourth:
        assert fourth.obj is not memory  # a cancelled request may still write into it


async def test_many_borrowers_share_few_buffers_though_their_variables_live_on() -> None:
    budget = ByteBudget(2 * POOLED_FROM_BYTES)
    seen: dict[int, object] = {}

    async def borrow() -> None:
        for _ in range(5):
            async with budget.buffer(POOLED_FROM_BYTES) as view:
                seen[id(view.obj)] = view.obj
                await asyncio.sleep(0)
            with pytest.raises(ValueError, match="released"):
                len(view)

    await asyncio.gather(*(borrow() for _ in range(16)))
    assert len(seen) == 2


Step = tuple[str, int]


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from(["claim", "leave", "cancel"]), st.integers(1, 150)), max_size=40),
)
def test_never_more_than_the_total_is_held_and_nothing_is_lost(total: int, steps: list[Step]) -> None:
    asyncio.run(_play(total, steps))


async def _play(total: int, steps: list[Step]) -> None:
    budget = ByteBudget(total)
    held = 0
    leave: list[asyncio.Event] = []
    tasks: list[asyncio.Task[None]] = []

    def claim(size: int, gone: asyncio.Event) -> Callable[[], Awaitable[None]]:
        async def body() -> None:
            nonlocal held
            async with budget.claim(size):
                held += min(size, total)
                assert held <= total
                try:
                    await gone.wait()
                finally:
                    held -= min(size, total)

        return body

    for action, number in steps:
        if action == "claim":
            leave.append(asyncio.Event())
            tasks.append(asyncio.ensure_future(claim(number, leave[-1])()))
        elif tasks and action == "leave":
            leave[number % len(leave)].set()
        elif tasks:
            tasks[number % len(tasks)].cancel()
        if number % 3:  # some steps fall into the same turn of the loop
            await turns(2)
    for event in leave:
        event.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not [task for task in tasks if not task.cancelled() and task.exception()]
    assert budget.held_bytes == 0

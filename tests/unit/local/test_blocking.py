"""Blocking calls stay on the loop while they are quick, and leave it while they are not."""

from __future__ import annotations

import threading

import pytest

from bucket_brigade.local.blocking import CALLS_IN_THREADS, BlockingCalls


class Clock:
    """A clock that advances by what the calls take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> int:
        self.now += seconds
        return threading.get_ident()


async def test_quick_calls_stay_on_the_loop() -> None:
    clock = Clock()
    calls = BlockingCalls(clock)
    threads = {await calls.run(clock.spend, 0.00001) for _ in range(1000)}
    assert threads == {threading.get_ident()}


async def test_one_long_call_among_quick_ones_changes_nothing() -> None:
    clock = Clock()
    calls = BlockingCalls(clock)
    await calls.run(clock.spend, 5.0)
    for _ in range(100):
        await calls.run(clock.spend, 0.00001)
    assert not calls.in_threads


async def test_slow_calls_go_to_threads_and_are_tried_on_the_loop_again_later() -> None:
    clock = Clock()
    calls = BlockingCalls(clock)
    while not calls.in_threads:
        await calls.run(clock.spend, 0.002)
    assert await calls.run(clock.spend, 0.002) != threading.get_ident()
    for _ in range(CALLS_IN_THREADS):
        await calls.run(clock.spend, 0.00001)
    assert await calls.run(clock.spend, 0.00001) == threading.get_ident()
    calls.close()


@pytest.mark.parametrize("in_threads", [False, True])
async def test_errors_come_back_as_they_are(in_threads: bool) -> None:
    clock = Clock()
    calls = BlockingCalls(clock)
    while in_threads and not calls.in_threads:
        await calls.run(clock.spend, 0.002)

    def fail() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        await calls.run(fail)
    calls.close()

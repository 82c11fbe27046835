"""Blocking calls stay on the loop while they are quick, and leave it while they are not."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from bucket_brigade.local.blocking import CALLS_IN_THREADS, PIECES_IN_THREAD, SLOW_PIECE_S, BlockingCalls, take_pieces


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


async def where_taken(clock: Clock, *pieces: tuple[float, int]) -> list[bool]:
    """Return, for pieces that take so many seconds and have so many entries, whether each was read on the loop."""
    read_by: list[int] = []

    def read() -> Generator[list[int], None, None]:
        for seconds, entries in pieces:
            read_by.append(clock.spend(seconds))
            yield [0] * entries

    taken = [piece async for piece in take_pieces(read(), clock)]
    assert [len(piece) for piece in taken] == [entries for _, entries in pieces]
    return [reader == threading.get_ident() for reader in read_by]


async def test_pieces_are_taken_on_the_loop_while_they_are_quick() -> None:
    assert await where_taken(Clock(), *[(0.0002, 50)] * 30) == [True] * 30


async def test_a_slow_piece_sends_the_next_ones_to_a_thread_for_a_while() -> None:
    quick = [(0.0002, 50)] * (PIECES_IN_THREAD + 1)
    assert await where_taken(Clock(), (2 * SLOW_PIECE_S, 50), *quick) == [True, *[False] * PIECES_IN_THREAD, True]


async def test_what_comes_behind_an_empty_piece_is_taken_in_a_thread() -> None:
    assert await where_taken(Clock(), (0.0, 1), (0.0, 0), (9.0, 1), (0.0, 1)) == [True, True, False, True]

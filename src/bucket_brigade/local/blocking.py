"""Blocking file calls from the event loop: inline while the disk answers from memory, in threads while it does not.

Reading a small file from the page cache takes 7 microseconds, a hop to a thread and back 100. But a disk that seeks, or a network
file system, takes milliseconds, and would stop the loop and all transfers with it: many threads then wait side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SLOW_S = 0.0005
"""Calls that take longer than this, on average, go to threads."""

LONGEST_COUNTED_S = 0.001
"""A few long calls (the kernel writes back, another process had the core) do not make a slow disk: half of the last ones do."""

WEIGHT = 1 / 16
CALLS_IN_THREADS = 2000
"""After so many calls in threads the disk is tried inline again: in a thread, waiting for the interpreter hides its speed."""

MAX_THREADS = 32

SLOW_PIECE_S = 0.005
PIECES_IN_THREAD = 20
"""After a piece of a walk that took longer than ``SLOW_PIECE_S`` so many are taken in a thread, before the loop tries again."""


async def to_its_end(in_thread: Awaitable[T]) -> T:
    """Return the result of a call that runs in a thread. A cancelled caller too waits for its end.

    Nothing can stop the thread, and nobody may close, meanwhile, the descriptors that it works with.
    """
    running = asyncio.ensure_future(in_thread)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class BlockingCalls:
    """Runs the blocking calls of one operation. To be closed when no call is under way.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._average_s = 0.0
        self._left_in_threads = 0
        self._executor: ThreadPoolExecutor | None = None

    @property
    def in_threads(self) -> bool:
        """Whether the next call goes to a thread."""
        return self._left_in_threads > 0

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``call(*args)`` returns, and raise what it raises."""
        if self._left_in_threads:
            self._left_in_threads -= 1
            if self._executor is None:
                self._executor = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="brigade-file")
            loop = asyncio.get_running_loop()
            return await to_its_end(loop.run_in_executor(self._executor, lambda: call(*args, **kwargs)))
        begun = self._clock()
        try:
            return call(*args, **kwargs)
        finally:
            took_s = min(self._clock() - begun, LONGEST_COUNTED_S)
            self._average_s += (took_s - self._average_s) * WEIGHT
            if self._average_s > SLOW_S:
                self._average_s = 0.0
                self._left_in_threads = CALLS_IN_THREADS

    def close(self) -> None:
        """Give the threads back."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


async def take_pieces(
    pieces: Generator[list[T], None, None], clock: Callable[[], float] = time.perf_counter
) -> AsyncGenerator[list[T]]:
    """Yield the pieces of a generator that reads a disk, and close it.

    They are taken on the loop while that is quick: in a thread, every system call of a walk gives the interpreter's lock away,
    and fights the loop for it. One that was slow makes the next ones go to a thread; so does an empty one, which says that the
    next one may take long.

    Args:
        pieces: what each step of it reads should take a quick disk less than a millisecond.
        clock: seconds, monotonic.
    """
    left_in_thread = 0
    try:
        while True:
            if left_in_thread:
                left_in_thread -= 1
                piece = await asyncio.to_thread(next, pieces, None)
            else:
                begun = clock()
                piece = next(pieces, None)
                if clock() - begun > SLOW_PIECE_S:
                    left_in_thread = PIECES_IN_THREAD
                await asyncio.sleep(0)
            if piece is None:
                return
            if not piece:
                left_in_thread = max(left_in_thread, 1)
            yield piece
    finally:
        with contextlib.suppress(ValueError):  # still running in its thread after a cancellation
            pieces.close()

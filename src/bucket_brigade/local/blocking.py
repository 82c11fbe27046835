"""Blocking file calls from the event loop: inline while the disk answers from memory, in threads while it does not.

Reading a small file from the page cache takes 7 microseconds, a hop to a thread and back 100. But a disk that seeks, or a network
file system, takes milliseconds, and would stop the loop and all transfers with it: many threads then wait side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
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

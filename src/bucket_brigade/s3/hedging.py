"""A second request for one that is unusually slow: only where both may take effect, and only while some are.

It begins when the governor has met an answer that took many times the usual time (``Governor.hedge_after_s``), so that it costs
nothing where an endpoint answers evenly. The first of the two that succeeds counts, and the other one is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

BUDGET = 0.02
"""Second requests, as a part of all answers: hedging must never be what an endpoint is busy with."""
ALWAYS_ALLOWED = 5
HEDGED_BYTES = 1 << 20
"""Larger bodies are slow for other reasons, and a second buffer for them is dear."""


class Hedger:
    """Counts second requests, and makes them.

    Attributes:
        made: second requests so far.
        won: those that were answered before the first ones.
    """

    def __init__(self) -> None:
        self.made = 0
        self.won = 0

    async def run(
        self, first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[T]], *, after_s: float, answers: int
    ) -> T:
        """Return what ``first`` returns, or ``second``, begun ``after_s`` seconds later, if that succeeds before.

        ``first`` is cancelled then. An error of ``second`` is never told; one of ``first`` ends both.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        cancelled_before = task.cancelling()
        backup: asyncio.Task[T] | None = None
        over = won = False

        def begin() -> None:
            nonlocal backup
            if self.made < ALWAYS_ALLOWED + BUDGET * answers:
                self.made += 1
                backup = asyncio.ensure_future(second())
                backup.add_done_callback(end)

        def end(done: asyncio.Future[T]) -> None:
            nonlocal won
            if not done.cancelled() and done.exception() is None and not over:
                won = True
                task.cancel()  # it waits for ``first`` alone

        timer = asyncio.get_running_loop().call_later(after_s, begin)
        try:
            return await first()
        except asyncio.CancelledError:
            if not won or task.uncancel() > cancelled_before or backup is None:
                raise
            self.won += 1
            return backup.result()
        finally:
            over = True
            timer.cancel()
            if backup is not None and not backup.done():
                backup.cancel()

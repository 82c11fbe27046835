"""An endpoint in virtual time that takes only so many requests a second, and programs that send it as many as they may."""

from __future__ import annotations

import asyncio
from collections import Counter

from bucket_brigade.errors import Throttled, TransferError
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.retry import Retrier
from bucket_brigade.settings.values import RetrySettings


class ThrottlingEndpoint:
    """Answers after ``delay_s``; refuses what a token bucket of ``limit`` requests a second does not let in.

    Args:
        capacity: requests a second that it gets done at most, one after the other; the rest waits.

    Attributes:
        taken, refused: by sender and second since the beginning.
    """

    def __init__(self, *, delay_s: float, limit: float | None = None, capacity: float | None = None) -> None:
        self.delay_s = delay_s
        self.limit = limit
        self.capacity = capacity
        self.taken: Counter[tuple[int, int]] = Counter()
        self.refused: Counter[tuple[int, int]] = Counter()
        self._loop = asyncio.get_running_loop()
        self._began = self._filled_at = self._free_at = self._loop.time()
        self._tokens = 0.0

    async def request(self, sender: int) -> None:
        """Take one request, or raise Throttled."""
        if self.capacity:
            self._free_at = max(self._free_at, self._loop.time()) + 1 / self.capacity
            await asyncio.sleep(self._free_at - self._loop.time())
        now = self._loop.time()
        second = int(now - self._began)
        if self.limit is not None and not self._admits(self.limit, now):
            self.refused[sender, second] += 1
            await asyncio.sleep(self.delay_s)
            raise Throttled("slow down", code="SlowDown", status=503)
        self.taken[sender, second] += 1
        await asyncio.sleep(self.delay_s)

    def _admits(self, limit: float, now: float) -> bool:
        self._tokens = min(limit / 10, self._tokens + (now - self._filled_at) * limit)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def rate(self, first: int, last: int, sender: int | None = None) -> float:
        """Return the requests per second that were taken from second ``first`` to before ``last``."""
        counts = (n for (who, at), n in self.taken.items() if first <= at < last and sender in (None, who))
        return sum(counts) / (last - first)

    def part_refused(self, first: int, last: int) -> float:
        """Return which part of the requests was refused."""
        refused = sum(n for (_, at), n in self.refused.items() if first <= at < last)
        return refused / max(1.0, refused + self.rate(first, last) * (last - first))


class BusySender:
    """As many slots as its governor allows, each of which sends one request after the other."""

    def __init__(self, endpoint: ThrottlingEndpoint, number: int = 0, *, governor: Governor | None = None) -> None:
        self._endpoint = endpoint
        self._number = number
        self._loop = asyncio.get_running_loop()
        self.governor = governor or Governor(now=self._loop.time, cpu=lambda: 0.0)
        self._retrier = Retrier(RetrySettings(), self.governor, now=self._loop.time)
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = 0
        self._over = False
        self.failed = 0
        self.governor.subscribe(self._resize)
        self._resize()

    def _resize(self) -> None:
        while self._slots < self.governor.limit and not self._over:
            self._slots += 1
            self._tasks.add(task := self._loop.create_task(self._send()))
            task.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        while not self._over and self._slots <= self.governor.limit:
            try:
                await self._retrier.run(self._endpoint.request, self._number)
            except TransferError:
                self.failed += 1
        self._slots -= 1

    async def end(self) -> None:
        """Send nothing more, and wait for what is under way."""
        self._over = True
        while self._tasks:
            await asyncio.wait(self._tasks)

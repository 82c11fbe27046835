"""One byte budget, and one pool of buffers, for all bodies of a process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType

POOLED_FROM_BYTES = 256 * 1024
"""Smaller buffers are cheaper to make than to look for."""


class ByteBudget:
    """Bounds the bytes that all transfers of a process hold at once, whatever their part size and number.

    First come, first served, so that a big part is never starved by small ones. A claim above the total waits until it is
    alone, then passes: one part may always move. Big buffers are used again: fresh ones cost a page fault for every 4 KiB.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._free = total_bytes
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._pool: list[bytearray] = []
        self._pooled_bytes = 0
        self._promised_bytes = 0  # granted to a waiter that has not run since: nothing is allocated for it yet

    @property
    def held_bytes(self) -> int:
        """Bytes claimed and not yet given back."""
        return self.total_bytes - self._free

    def buffer(self, size: int) -> _Loan:
        """Return an async context manager that lends a writable buffer of exactly ``size`` bytes.

        Its content is undefined, and nobody may keep the buffer beyond the block.
        """
        return _Loan(self, size)

    @contextlib.asynccontextmanager
    async def claim(self, size: int) -> AsyncIterator[None]:
        """Hold ``size`` bytes of the budget for a buffer that comes from elsewhere."""
        await self.acquire(size)
        try:
            yield
        finally:
            self.release(size)

    async def acquire(self, size: int) -> None:
        """Claim ``size`` bytes; wait until they are free. Above the total, wait until nobody else holds any."""
        if not self.try_claim(size):
            await self.claim_bytes(size)
        if self._pool:
            self._trim_pool()

    def try_claim(self, size: int) -> bool:
        """Claim as ``claim_bytes`` does if that needs no waiting; return whether it did."""
        size = min(size, self.total_bytes)
        if self._waiting or self._free < size:
            return False
        self._free -= size
        return True

    async def claim_bytes(self, size: int) -> None:
        """Claim as ``acquire`` does, and leave the pool alone: for who will ``take`` from it."""
        if self.try_claim(size):
            return
        size = min(size, self.total_bytes)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((granted, size))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._grant()  # those behind it in the row may pass now
            else:
                self._promised_bytes -= size
                self.release(size)
            raise
        self._promised_bytes -= size

    def release(self, size: int) -> None:
        """Give ``size`` bytes back."""
        self._free += min(size, self.total_bytes)
        if self._waiting:
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            granted, size = self._waiting[0]
            if granted.cancelled():  # its task has not run since, and asks for nothing any more
                self._waiting.popleft()
            elif size <= self._free:
                self._waiting.popleft()
                self._free -= size
                self._promised_bytes += size
                granted.set_result(None)
            else:
                return

    def take(self, size: int) -> bytearray:
        """Return a buffer of at least ``size`` claimed bytes, a used one where one fits."""
        if size >= POOLED_FROM_BYTES:
            for position, pooled in enumerate(self._pool):
                if size <= len(pooled) <= 2 * size:
                    del self._pool[position]
                    self._pooled_bytes -= len(pooled)
                    return pooled
        if self._pool:
            self._trim_pool()
        return bytearray(size)

    def put_back(self, buffer: bytearray, size: int) -> None:
        """Give a buffer and its claim back; whoever claims next finds it in the pool."""
        self._free += min(size, self.total_bytes)
        if len(buffer) >= POOLED_FROM_BYTES:
            self._pool.append(buffer)
            self._pooled_bytes += len(buffer)
            self._trim_pool()
        if self._waiting:
            self._grant()

    def _trim_pool(self) -> None:
        """Keep the pool and what is allocated for claims together within the budget."""
        while self._pool and self._pooled_bytes + self.held_bytes - self._promised_bytes > self.total_bytes:
            self._pooled_bytes -= len(self._pool.pop(0))


class _Loan:
    __slots__ = ("_budget", "_buffer", "_size", "_view")

    _buffer: bytearray | None
    _view: memoryview | None

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self._size = size

    async def __aenter__(self) -> memoryview:
        if not self._budget.try_claim(self._size):
            await self._budget.claim_bytes(self._size)
        self._buffer = self._budget.take(self._size)
        self._view = memoryview(self._buffer)[: self._size]
        return self._view

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        buffer, view = self._buffer, self._view
        # The borrower's variable lives on until its next loan: it must not keep the memory.
        self._buffer = self._view = None
        if kind is None and view is not None and buffer is not None:
            view.release()
            self._budget.put_back(buffer, self._size)
        else:  # what was cancelled may still be read from or into the buffer: it is not used again
            self._budget.release(self._size)

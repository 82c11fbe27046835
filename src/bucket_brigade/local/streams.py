"""Standard input and output of one object, as chunks, without blocking the event loop.

Each stream has a thread of its own, which cannot keep the program from ending: a read that nobody feeds, or a write that nobody
takes, is simply left behind when its caller is cancelled.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from bucket_brigade.errors import LocalError
from bucket_brigade.local.oserrors import errno_name, translate

STANDARD_INPUT_FD = 0
STANDARD_OUTPUT_FD = 1

T = TypeVar("T")


class StandardInput:
    """A stream of unknown length, read in order. One reader at a time; of no use after a cancelled read."""

    def __init__(self, fd: int = STANDARD_INPUT_FD) -> None:
        self._fd = fd
        self._thread = _StreamThread[memoryview]("brigade-stdin")

    async def read(self, size: int) -> memoryview:
        """Return the next ``size`` bytes; fewer only at the stream's end, and then none. LocalError."""
        return await self._thread.call(lambda: self._fill(size))

    def close(self) -> None:
        """End the thread once it has nothing to do. The descriptor stays open: it belongs to the program."""
        self._thread.end()

    def _fill(self, size: int) -> memoryview:
        view = memoryview(bytearray(size))
        filled = 0
        try:
            while filled < size:
                count = os.readv(self._fd, [view[filled:]])
                if count == 0:
                    break
                filled += count
        except OSError as exc:
            raise translate(exc, "read standard input") from exc
        return view[:filled]


class StandardOutput:
    """A stream that takes bytes in order. One writer at a time; of no use after a cancelled write."""

    def __init__(self, fd: int = STANDARD_OUTPUT_FD) -> None:
        self._fd = fd
        self._thread = _StreamThread[None]("brigade-stdout")

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data``, which must stay as it is until then (longer, if this is cancelled).

        Raises:
            LocalError: with code ``EPIPE`` where the reader has gone away.
        """
        await self._thread.call(lambda: self._drain(data))

    def close(self) -> None:
        """End the thread once it has nothing to do. The descriptor stays open: it belongs to the program."""
        self._thread.end()

    def _drain(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except BrokenPipeError as exc:
            raise LocalError("whatever read standard output has closed it", code=errno_name(exc)) from exc
        except OSError as exc:
            raise translate(exc, "write standard output") from exc


class _StreamThread(Generic[T]):
    """A daemon thread that makes one blocking call after the other; begun by the first."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[concurrent.futures.Future[T], Callable[[], T]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def call(self, action: Callable[[], T]) -> T:
        if not self._thread.is_alive():
            self._thread.start()
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._calls.put((future, action))
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, action = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(action())
            except BaseException as exc:
                future.set_exception(exc)

"""Hands events to those who listen, without ever waiting for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from bucket_brigade.model.events import Event, TransferFinished

EventSink = Callable[[Event], None]
MAX_UNREAD = 10_000


class Broadcast:
    """The events of one run: to sinks at once, to readers by a bounded queue that drops what is not read in time."""

    def __init__(self) -> None:
        self._sinks: list[tuple[EventSink, bool]] = []
        self._readers: list[_Reader] = []
        self._over = False
        self.every_transfer = False

    def subscribe(self, sink: EventSink, *, transfers: bool) -> None:
        """Call ``sink`` with every event from now on; with TransferFinished too if ``transfers``."""
        self._sinks.append((sink, transfers))
        self.every_transfer = self.every_transfer or transfers

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        single = isinstance(event, TransferFinished)
        for sink, transfers in self._sinks:
            if transfers or not single:
                sink(event)
        for reader in self._readers:
            reader.put(event)

    def end(self) -> None:
        """Let all readers end when they have read what there is."""
        self._over = True
        for reader in self._readers:
            reader.put(None)

    async def read(self) -> AsyncIterator[Event]:
        """Yield events from now on, until the run is over."""
        if self._over:
            return
        reader = _Reader()
        self._readers.append(reader)
        try:
            while (event := await reader.get()) is not None:
                yield event
        finally:
            self._readers.remove(reader)


class _Reader:
    def __init__(self) -> None:
        self._unread: deque[Event | None] = deque(maxlen=MAX_UNREAD)
        self._news = asyncio.Event()

    def put(self, event: Event | None) -> None:
        self._unread.append(event)
        self._news.set()

    async def get(self) -> Event | None:
        while not self._unread:
            self._news.clear()
            await self._news.wait()
        return self._unread.popleft()

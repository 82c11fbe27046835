"""Keep-alive connections to one host: spread over its addresses, reused last in first out, watched by one timer.

Never here: redirects, ``Expect``, proxies, retries of what may have been executed. A request on a kept connection that turns
out to be closed before a byte of the answer came is sent once more on a new one, where the caller says that this is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from typing import Self

import msgspec

from bucket_brigade.s3.doors import Resolve, ask_dns
from bucket_brigade.s3.prepared import Target
from bucket_brigade.s3.store import Body
from bucket_brigade.s3.wire_answer import Answer, Disconnected
from bucket_brigade.s3.wire_connection import Connection

RESOLVE_AGAIN_S = 30.0
CONNECT_TRIES = 2
CLOSE_WITHIN_S = 2.0


class WireSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How connections are made and kept.

    Attributes:
        max_connections: to one host; further requests wait for one of them.
        connect_timeout_s: for one address, TLS included.
        read_timeout_s: the window in which bytes must move, either way.
        idle_s: a connection that carried nothing for so long is closed; S3 closes them after about 20 s itself.
        lifetime_s: an older connection carries no further request, so that new addresses are used.
    """

    max_connections: int = 64
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    idle_s: float = 15.0
    lifetime_s: float = 300.0


class Pool:
    """The connections to one target.

    Use as an async context manager: at its end all connections are closed.

    Args:
        target: scheme, host and port.
        settings: limits and time-outs.
        tls: the context for https, None for http.
        resolve: finds the host's addresses.
    """

    def __init__(
        self, target: Target, settings: WireSettings, tls: ssl.SSLContext | None, resolve: Resolve = ask_dns
    ) -> None:
        self._target = target
        self._settings = settings
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closing: set[Connection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._addresses = _Addresses(target, resolve)
        self._sweep_s = min(2.0, max(0.02, settings.read_timeout_s / 4))
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                for connection in list(self._closing):
                    await connection.wait_closed()

    async def exchange(
        self,
        head: bytes,
        body: Body = b"",
        *,
        into: memoryview | None = None,
        no_body: bool = False,
        replay: bool = True,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            head: request line and headers, with the empty line.
            body: must not change until this returns.
            into: takes the body of a 200 or 206 of exactly its size; else the body is read into memory.
            no_body: the request is a HEAD.
            replay: sending it twice is harmless.

        Raises WireError, OSError (refused, not resolved, TLS) and TimeoutError (not connected in time).
        """
        connection = self._reuse() or await self._acquire()
        kept = connection.served > 0
        try:
            answer = await connection.exchange(head, body, into=into, no_body=no_body)
        except Disconnected as lost:
            if not (kept and replay and lost.unanswered):
                raise
        except BaseException:
            connection.abort()
            raise
        else:
            self._release(connection)
            return answer
        return await self._exchange_anew(head, body, into=into, no_body=no_body)

    async def _exchange_anew(self, head: bytes, body: Body, *, into: memoryview | None, no_body: bool) -> Answer:
        connection = await self._acquire(fresh=True)
        try:
            answer = await connection.exchange(head, body, into=into, no_body=no_body)
        except BaseException:
            connection.abort()
            raise
        self._release(connection)
        return answer

    # --- who has which connection ------------------------------------------------------------------------------------

    def _reuse(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _acquire(self, *, fresh: bool = False) -> Connection:
        while True:
            if not fresh and (connection := self._reuse()) is not None:
                return connection
            if len(self._open) + self._connecting >= self._settings.max_connections and fresh and self._idle:
                self._idle.pop().close()
            if len(self._open) + self._connecting < self._settings.max_connections:
                return await self._connect()
            await self._turn()

    async def _turn(self) -> None:
        """Wait until a connection may have become free."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._wake()
            else:
                with contextlib.suppress(ValueError):  # it may have been passed over since it was cancelled
                    self._waiting.remove(turn)
            raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _release(self, connection: Connection) -> None:
        if connection.usable:
            if connection.retire:
                connection.close()
                return
            self._idle.append(connection)
            if self._waiting:
                self._wake()

    def _lost(self, connection: Connection) -> None:
        if connection.closed:
            self._closing.discard(connection)
        else:
            self._closing.add(connection)
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._wake()

    # --- connecting --------------------------------------------------------------------------------------------------

    async def _connect(self) -> Connection:
        self._connecting += 1
        try:
            connection = await self._connect_to_any()
        except BaseException:
            self._connecting -= 1
            self._wake()
            raise
        self._connecting -= 1
        self._open.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._sweep_s, self._sweep)
        return connection

    async def _connect_to_any(self) -> Connection:
        addresses = await self._addresses.next(CONNECT_TRIES)
        for position, address in enumerate(addresses):
            try:
                async with asyncio.timeout(self._settings.connect_timeout_s):
                    _, connection = await self._loop.create_connection(
                        lambda: Connection(self._lost),
                        address,
                        self._target.port,
                        ssl=self._tls,
                        server_hostname=self._target.host if self._tls is not None else None,
                    )
            except (OSError, TimeoutError):
                # Of several addresses one may be dead; what they all say is what the last one says.
                if position == len(addresses) - 1:
                    self._addresses.forget()
                    raise
            else:
                return connection
        raise AssertionError  # pragma: no cover - the resolver returns an address or raises

    # --- watching ----------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Look at every connection: no request pays for a timer of its own."""
        now = self._loop.time()
        for connection in list(self._open):
            connection.check_progress(now, self._settings.read_timeout_s)
            connection.retire = now - connection.watch.made > self._settings.lifetime_s
        for connection in list(self._idle):
            if connection.retire or connection.idle_s(now) > self._settings.idle_s:
                connection.close()
        self._timer = self._loop.call_later(self._sweep_s, self._sweep) if self._open else None


class _Addresses:
    """The addresses that DNS gives for a host, each in its turn."""

    def __init__(self, target: Target, resolve: Resolve) -> None:
        self._target = target
        self._resolve = resolve
        self._lock = asyncio.Lock()
        self._found: list[str] = []
        self._resolved_at = float("-inf")
        self._turn = 0

    async def next(self, count: int) -> list[str]:
        """Return up to ``count`` different addresses to try, beginning with another one at each call. Raises gaierror."""
        async with self._lock:
            if time.monotonic() - self._resolved_at > RESOLVE_AGAIN_S:
                self._found = await self._resolve(self._target.host, self._target.port)
                self._resolved_at = time.monotonic()
        start = self._turn
        self._turn += 1
        return [self._found[(start + step) % len(self._found)] for step in range(min(count, len(self._found)))]

    def forget(self) -> None:
        """Ask DNS again next time."""
        self._resolved_at = float("-inf")

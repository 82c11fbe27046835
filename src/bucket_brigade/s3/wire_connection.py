"""One connection to a store: a request at a time goes out without a copy, and its answer comes in.

A body is handed to the transport as it is, a big one in slices as the peer takes them. So a buffer must stay untouched until the
exchange has ended; when it ends early the transport is aborted, and neither reads nor writes the buffer any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from bucket_brigade.s3.store import Body
from bucket_brigade.s3.wire_answer import Answer, AnswerReader, Disconnected, Garbled, Stalled, WireError

SLICE_BYTES = 256 * 1024
"""Bodies above this size are written in slices, so that TLS encrypts no more ahead than the peer takes."""
MIN_BYTES_PER_S = 1024
"""A body that moves more slowly than this is stalled."""
ANSWER_LIMIT_S = 900.0
"""How long an answer that is no object may take: S3 keeps Complete and Copy alive with white space for minutes."""


class Connection(asyncio.BufferedProtocol):
    """A connection of a pool.

    Args:
        on_lost: told when the connection cannot carry another request, and again when it is ``closed``.

    Attributes:
        served: requests begun.
        usable: it stands, and can carry a request when none is in flight.
        retire: it is past its lifetime: not to be used for another request.
    """

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._reader = AnswerReader()
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("Any", None)
        self._waiter: asyncio.Future[Answer] | None = None
        self._unsent: memoryview | None = None
        self._handed = 0
        self._paused = False
        self._closed = asyncio.Event()
        self.served = 0
        self.usable = False
        self.retire = False
        self.get_buffer = self._reader.get_buffer  # type: ignore[method-assign] # spares a call for each read
        self.watch = Watch(self._loop.time())

    # --- the exchange ------------------------------------------------------------------------------------------------

    def exchange(self, head: bytes, body: Body, *, into: memoryview | None, no_body: bool) -> asyncio.Future[Answer]:
        """Send a request and return the future of its answer; it fails with a WireError.

        The caller who gives up on the future must ``abort`` the connection.
        """
        self.served += 1
        self._reader.begin(into=into, no_body=no_body)
        waiter = self._waiter = self._loop.create_future()
        if not body:
            self._handed += len(head)
            self._transport.write(head)
        elif len(body) <= SLICE_BYTES:
            self._handed += len(head) + len(body)
            self._transport.writelines((head, body))
        else:
            self._handed += len(head)
            self._transport.write(head)
            self._unsent = memoryview(body).cast("B")
            self._write_slices()
        return waiter

    def _write_slices(self) -> None:
        while self._unsent is not None and not self._paused:
            piece, rest = self._unsent[:SLICE_BYTES], self._unsent[SLICE_BYTES:]
            self._unsent = rest if len(rest) else None
            self._handed += len(piece)
            self._transport.write(piece)

    def _finish(self) -> None:
        waiter, self._waiter = self._waiter, None
        answer = self._reader.answer
        if not answer.keep_alive or self._unsent is not None or self._transport.get_write_buffer_size():
            # An answer that came before the whole body was taken: what is still on its way must not meet the next request.
            self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def fail(self, error: WireError) -> None:
        """End the exchange in flight with this error, and the connection with it."""
        waiter, self._waiter = self._waiter, None
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def abort(self) -> None:
        """End the connection at once, and let go of all buffers."""
        self._reader.reset()
        self._unsent = None
        self._transport.abort()
        self._lose()

    def close(self) -> None:
        """End a connection that has no request in flight."""
        self._transport.close()
        self._lose()

    @property
    def closed(self) -> bool:
        """Whether the transport has let go of the socket."""
        return self._closed.is_set()

    async def wait_closed(self) -> None:
        """Return when the transport has let go of the socket."""
        await self._closed.wait()

    def _lose(self) -> None:
        if self.usable:
            self.usable = False
            self._on_lost(self)

    # --- called by the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to be usable."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=2 * SLICE_BYTES, low=SLICE_BYTES // 2)
        self.usable = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes that arrived."""
        try:
            complete = self._reader.received(nbytes)
        except Garbled as error:
            self.fail(error)
            return
        if complete:
            self._finish()

    def eof_received(self) -> bool:
        """Take note that the peer closed its side; ours is closed too."""
        if self._waiter is not None:
            if self._reader.ended():
                self._finish()
            else:
                self.fail(self._disconnected())
        self._lose()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is in flight."""
        if self._waiter is not None:
            self.fail(self._disconnected())
        self._reader.reset()
        self._unsent = None
        self._closed.set()
        self.usable = False
        self._on_lost(self)

    def _disconnected(self) -> Disconnected:
        began = self._reader.began
        return Disconnected(
            "the endpoint closed the connection "
            + ("before its answer was complete" if began else "without an answer"),
            unanswered=not began,
        )

    def pause_writing(self) -> None:
        """Write no further slices for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """Write on."""
        self._paused = False
        self._write_slices()

    # --- called by the pool's sweep ----------------------------------------------------------------------------------

    def check_progress(self, now: float, window_s: float) -> None:
        """Fail the exchange in flight if too little has moved since ``window_s`` seconds."""
        watch = self.watch
        buffered = self._transport.get_write_buffer_size()
        total = self._reader.total + self._handed - buffered
        in_bulk = self._reader.reads_object or self._unsent is not None or buffered > 0
        if watch.served != self.served or watch.in_bulk != in_bulk or self._waiter is None:
            watch.restart(now, self.served, total, in_bulk=in_bulk)
            return
        moved = total - watch.moved
        if now - watch.began >= ANSWER_LIMIT_S and not in_bulk:
            self.fail(Stalled(f"the endpoint did not answer within {ANSWER_LIMIT_S:.0f} s"))
        elif moved >= (MIN_BYTES_PER_S * window_s if in_bulk else 1):
            watch.advance(now, total)
        elif now - watch.since >= window_s:
            self.fail(Stalled(f"no progress for {window_s:g} s"))

    def idle_s(self, now: float) -> float:
        """Return for how long no request has been in flight, as far as the sweeps saw."""
        return now - self.watch.began if self._waiter is None and self.watch.served == self.served else 0.0


class Watch:
    """What the sweeps remember of a connection: nothing is noted for each request.

    Attributes:
        made: when the connection was made.
        began: the first sweep that saw the present request (or the present idleness).
        since, moved: the beginning of the present window, and the bytes that had gone either way by then.
        served: which request it was.
        in_bulk: a body was on its way, rather than an answer waited for.
    """

    __slots__ = ("began", "in_bulk", "made", "moved", "served", "since")

    def __init__(self, now: float) -> None:
        self.made = self.began = self.since = now
        self.moved = 0
        self.served = -1
        self.in_bulk = False

    def restart(self, now: float, served: int, moved: int, *, in_bulk: bool) -> None:
        """Begin to watch another request, or another phase of it."""
        if self.served != served:
            self.began = now
        self.served, self.in_bulk = served, in_bulk
        self.advance(now, moved)

    def advance(self, now: float, moved: int) -> None:
        """Begin another window of the same request."""
        self.since, self.moved = now, moved

"""HTTP/1.1 on one connection: requests are read, answers written, and both broken off where a fault says so.

What nothing is done to is answered at once and without a task, so that the server costs less than its clients.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from tests.faults.hostile.faults import Fault
from tests.faults.hostile.messages import REASONS, Answer, Request

PIECE_BYTES = 64 * 1024


class Service(Protocol):
    """What answers requests."""

    def begin(self, head: bytes) -> tuple[Request, Fault | None]:
        """Return the request that a head begins, and what is to be done to it."""
        ...

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        """Carry a request out; return its answer."""
        ...


class Connection(asyncio.Protocol):
    """One connection of one client."""

    def __init__(self, service: Service, on_made: Callable[[Connection], None], on_lost: Callable[[Connection], None]):
        self._service = service
        self._on_made = on_made
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._request: Request | None = None
        self._fault: Fault | None = None
        self._length = 0
        self._head_bytes = 0
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass
        self._on_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was under way."""
        if self._task is not None:
            self._task.cancel()
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._received += data
        self._read()

    def _read(self) -> None:
        while self._task is None and not self._transport.is_closing():
            if self._request is None and not self._read_head():
                return
            assert self._request is not None
            here = len(self._received)
            fault = self._fault
            if (
                fault is not None
                and fault.reset_request_at is not None
                and here >= fault.reset_request_at * self._length
            ):
                self.reset()
                return
            if here < self._length:
                return
            self._request.body = bytes(memoryview(self._received)[: self._length])
            del self._received[: self._length]
            request, self._request = self._request, None
            self._serve(request, fault)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        self._request, self._fault = self._service.begin(head)
        self._length = int(self._request.headers.get("content-length", 0))
        if self._fault is not None and self._fault.stop_reading:
            self._transport.pause_reading()
            return False
        return True

    # --- answering -----------------------------------------------------------------------------------------------

    def _serve(self, request: Request, fault: Fault | None) -> None:
        if fault is None or fault.is_plain:
            self._send(request, self._service.answer(request, fault))
        else:
            self._task = asyncio.ensure_future(self._serve_badly(request, fault))

    def _send(self, request: Request, answer: Answer) -> None:
        head, body = encode(request, answer)
        self._transport.write(head + body if len(body) < PIECE_BYTES else head)
        if len(body) >= PIECE_BYTES:
            self._transport.write(body)
        if answer.length == -1 or answer.status < 0:
            self._transport.close()

    async def _serve_badly(self, request: Request, fault: Fault) -> None:
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        answer = self._service.answer(request, fault)
        if fault.answer_delay_s:
            await asyncio.sleep(fault.answer_delay_s)
        head, body = encode(request, answer)
        share = fault.cut_answer_at if fault.cut_answer_at is not None else fault.stall_answer_at
        if share is not None:
            if share >= 0:
                self._transport.write(head + body[: int(len(body) * share)])
            if fault.stall_answer_at is not None:
                await asyncio.sleep(3600)
            if fault.reset:
                await asyncio.sleep(0.01 if share >= 0 else 0)  # a reset overtakes what is still in the send buffer
                self.reset()
            else:
                self._transport.close()
            return
        await self._write(head + body, fault)
        self._task = None
        if fault.close_after or answer.length == -1:
            self._transport.close()
        else:
            self._read()

    async def _write(self, data: bytes, fault: Fault) -> None:
        if fault.trickle_bytes_per_s is None:
            self._transport.write(data)
            return
        for position in range(len(data)):
            self._transport.write(data[position : position + 1])
            await asyncio.sleep(1 / fault.trickle_bytes_per_s)

    def reset(self) -> None:
        """End it by RST."""
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """End it."""
        self._transport.abort()


def encode(request: Request, answer: Answer) -> tuple[bytes, bytes]:
    """Return an answer's head and the body that follows it on the wire."""
    if answer.status < 0:
        return b"", answer.body
    body = b"" if request.method == "HEAD" else answer.body
    length = len(answer.body) if answer.length is None else answer.length
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Whatever')}"]
    if length >= 0 and answer.status != 204:
        lines.append(f"Content-Length: {length}")
    elif length < 0:
        lines.append("Connection: close")
    lines.append(f"x-amz-request-id: R{request.number:08}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"), body

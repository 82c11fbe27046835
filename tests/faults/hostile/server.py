"""The server: on the loop of a test, in a thread of its own (for tests of subprocesses), or as a process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate

import uvloop

from bucket_brigade.settings.values import EndpointSettings, Secret
from tests.faults.hostile.effects import EffectLog
from tests.faults.hostile.faults import SLOW_DOWN, Fault, Script
from tests.faults.hostile.messages import Answer, Request, parse_head
from tests.faults.hostile.semantics import Semantics
from tests.faults.hostile.state import State
from tests.faults.hostile.throttle import WRITES, Throttle
from tests.faults.hostile.wire import Connection


@dataclass
class HostileS3:
    """One server.

    Attributes:
        script: what is done to whom.
        state: what it holds; look at it (and change it) while no request is under way.
        rules: what it does when nothing is wrong; None for S3's own.
        writes, reads: throttles of the two kinds of requests.
        requests: how many of each operation have begun.
        seen: every request, where ``remember`` is set; without bodies.
        port: where it listens on 127.0.0.1, once it does.
    """

    script: Script = field(default_factory=Script)
    state: State = field(default_factory=State)
    rules: Semantics | None = None
    writes: Throttle | None = None
    reads: Throttle | None = None
    remember: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    seen: list[Request] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.semantics = self.rules or Semantics(self.state)
        self._numbers = itertools.count(1)
        self._connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._second = 0.0
        self._date = ""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> EffectLog:
        """What really happened."""
        return self.state.log

    def endpoint(self, name: str = "hostile", **others: object) -> EndpointSettings:
        """Return settings that lead here, impatient as tests are."""
        given: dict[str, object] = {
            "name": name,
            "endpoint_url": self.url,
            "region": "us-east-1",
            "access_key_id": f"AKIA{name.upper()}",
            "secret_access_key": Secret("no-secret"),
            "addressing": "path",
            "connect_timeout_s": 2.0,
            "read_timeout_s": 0.4,
        }
        return EndpointSettings(**(given | others))  # type: ignore[arg-type]

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return what a bucket holds below a prefix: key without the prefix -> content."""
        held = self.state.buckets[bucket].objects
        return {key[len(prefix) :]: one.content for key, one in held.items() if key.startswith(prefix)}

    # --- Service -------------------------------------------------------------------------------------------------

    def begin(self, head: bytes) -> tuple[Request, Fault | None]:
        """See wire.Service."""
        request = parse_head(next(self._numbers), head)
        self.requests[request.operation] += 1
        if self.remember:
            self.seen.append(request)
        throttle = self.writes if request.operation in WRITES else self.reads
        if throttle is not None and not throttle.admits(request.key):
            return request, SLOW_DOWN
        return request, self.script.choose(request)

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        """See wire.Service."""
        if fault is not None and fault.instead is not None:
            answer = fault.instead(request)
        else:
            for name in fault.ignores if fault is not None else ():
                request.headers.pop(name, None)
            answer = self.semantics.carry_out(request)
            if fault is not None and fault.mangle is not None:
                answer = fault.mangle(request, answer, self.script.random)
        if "Date" not in answer.headers:
            answer.headers["Date"] = self._now()
        return answer

    def _now(self) -> str:
        second = float(int(time.time()))
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        return self._date

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(self, self._connections.add, self._connections.discard)

        self._server = await loop.create_server(connection, "127.0.0.1", port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and drop all connections. It may be started again, at the same port."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._server.wait_closed()
            self._server = None


@contextlib.asynccontextmanager
async def serving(s3: HostileS3 | None = None) -> AsyncIterator[HostileS3]:
    """Run a server on the loop of the test."""
    s3 = s3 or HostileS3()
    await s3.start()
    try:
        yield s3
    finally:
        await s3.stop()


@contextlib.contextmanager
def in_thread(s3: HostileS3 | None = None) -> Iterator[HostileS3]:
    """Run a server in a thread with a loop of its own, for tests that wait for subprocesses."""
    s3 = s3 or HostileS3()
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="hostile S3", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(s3.start(), loop).result(10)
        yield s3
        asyncio.run_coroutine_threadsafe(s3.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()

"""An S3 server on loopback that takes objects only when the test lets it: what is in flight stays in flight."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bucket_brigade.settings.values import EndpointSettings, Secret


class GatedServer:
    """Answers HEAD of any bucket, and PUT of any object, the latter once ``gate`` is set.

    Attributes:
        objects: what was stored, by path.
        waiting: PUT requests that have arrived whole and are not answered, by client port.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.objects: dict[str, bytes] = {}
        self.waiting: set[int] = set()
        self.port = 0

    @property
    def endpoint(self) -> EndpointSettings:
        return EndpointSettings(
            name="gated",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region="us-east-1",
            access_key_id="AKIAGATED",
            secret_access_key=Secret("not-looked-at"),
            addressing="path",
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                etag = ""
                if method == "PUT":
                    etag = f'ETag: "{hashlib.md5(body).hexdigest()}"\r\n'
                    await self._take(writer, path, body)
                writer.write(f"HTTP/1.1 200 OK\r\n{etag}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _take(self, writer: asyncio.StreamWriter, path: str, body: bytes) -> None:
        port = writer.get_extra_info("peername")[1]
        self.waiting.add(port)
        try:
            await self.gate.wait()
        finally:
            self.waiting.discard(port)
        self.objects[path] = body


@asynccontextmanager
async def gated_server() -> AsyncIterator[GatedServer]:
    """Run one, on the loop of the test; its connections are dropped at the end."""
    gated = GatedServer()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(gated.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    gated.port = server.sockets[0].getsockname()[1]
    try:
        yield gated
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

"""A peer on a socket of its own that keeps every request it gets and answers as the test says, over http or TLS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, RetrySettings, Secret

ACCESS_KEY = "AKIACANARYCANARYCANA"
SECRET_KEY = "canary+secret/0123456789abcdefghijklmnop"
TOKEN = "canaryTOKEN/" + base64.b64encode(hashlib.sha512(b"canary").digest() * 4).decode()

ONCE = RetrySettings(max_attempts=1)


@dataclass(frozen=True)
class Request:
    """What arrived: header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request], bytes]


@dataclass
class Peer:
    """Where it listens and what it was sent.

    Attributes:
        host: with the port.
        connections: accepted; over TLS only those whose handshake came to an end.
    """

    scheme: str
    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Return an answer; the names of headers are written with underscores."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def taking_everything(request: Request) -> bytes:
    """Answer like a store that has every bucket and takes every object."""
    if request.method == "PUT":
        return http("200 OK", ETag=f'"{hashlib.md5(request.body).hexdigest()}"')
    return http("200 OK")


@contextlib.asynccontextmanager
async def peer(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Run a peer on loopback, on the loop of the test; its connections are dropped at the end."""
    conversations: set[asyncio.Task[None]] = set()
    here = Peer("https" if tls else "http", 0)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                request = await _read(reader)
                here.requests.append(request)
                writer.write(answer(request))
                await writer.drain()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(converse(reader, writer))
        conversations.add(task)
        task.add_done_callback(conversations.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def endpoint_at(url: str, **changes: object) -> EndpointSettings:
    """Return the settings of an endpoint with canary credentials."""
    settings = {
        "name": "peer",
        "endpoint_url": url,
        "region": "us-east-1",
        "access_key_id": ACCESS_KEY,
        "secret_access_key": Secret(SECRET_KEY),
        "session_token": Secret(TOKEN),
        "addressing": "path",
        "connect_timeout_s": 5.0,
        "read_timeout_s": 5.0,
    }
    return EndpointSettings(**{**settings, **changes})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def store_at(endpoint: EndpointSettings, lane: str) -> AsyncIterator[RetryingStore]:
    """Open its store over the lane (``on``) or the client (``off``); every request is made once."""
    async with open_store(endpoint, engine=EngineSettings(lane=lane, retry=ONCE)) as store:
        yield store

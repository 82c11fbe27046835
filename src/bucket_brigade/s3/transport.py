"""How the aioboto3 client reaches the network: aiohttp, with what a mover of other people's bytes owes them.

What aiobotocore's own session does not do, each measured as a hang or a leak: redirects are never followed (they would
carry the session token to another host), the host name of a certificate is verified, and behind a proxy the certificate
at all, a name that leads to a metadata address is refused, a peer that stops reading our body is noticed, and a body is
sent from the caller's buffer in slices, without a copy. Imported late: it needs aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.payload import Payload
from multidict import CIMultiDict
from yarl import URL

from bucket_brigade.s3.doors import Resolve, ask_dns, guarded, tls_context

SLICE_BYTES = 256 * 1024
"""One write to the socket: small enough that a slow peer shows progress, large enough to cost nothing."""

ANSWER_LIMIT_S = 900.0
"""How long an answer that is no object may take to come whole: S3 keeps Complete and Copy alive with white space."""

PATIENCE = 5
"""Copies, Complete and DeleteObjects may say nothing for this many read timeouts: some stores work first, then answer."""


class StalledError(TimeoutError):
    """The peer took no bytes, or gave none, for a whole read timeout."""


class Deadline:
    """The time by which a request must make progress; ``extend`` is called whenever it has."""

    def __init__(self, timeout: asyncio.Timeout, window_s: float) -> None:
        self._timeout: asyncio.Timeout | None = timeout
        self._window_s = window_s
        self._now = asyncio.get_running_loop().time

    def extend(self, window_s: float | None = None) -> None:
        """Allow another window (or ``window_s`` seconds) from now."""
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._now() + (window_s or self._window_s))

    def close(self) -> None:
        """Stop watching: the answer may be here before a body that the peer does not want is sent."""
        self._timeout = None


class BufferPayload(Payload):
    """A request body in one buffer, written in slices; each slice that the peer takes extends the deadline."""

    _autoclose = True

    def __init__(self, body: bytes | bytearray | memoryview, deadline: Deadline) -> None:
        super().__init__(body)
        self._view = memoryview(body).cast("B")
        self._size = len(self._view)
        self._deadline = deadline

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text; aiohttp asks for it only in its debug output."""
        return bytes(self._view).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the whole body."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body, at most ``content_length`` bytes of it."""
        view = self._view if content_length is None else self._view[:content_length]
        if len(view) <= SLICE_BYTES:
            await writer.write(view)
            return
        for start in range(0, len(view), SLICE_BYTES):
            await writer.write(view[start : start + SLICE_BYTES])
            self._deadline.extend()


class _Resolver(AbstractResolver):
    """A resolver of ours as aiohttp wants to see it."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError, and PermanentError where they are forbidden."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._resolve(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""


_Session: Any = AIOHTTPSession  # its type stub leaves out what a subclass needs
_Answer: Any = AioAWSResponse


class StraightSession(_Session):  # type: ignore[misc]
    """Sends one request, straight to the host it is signed for, and returns what that host answers.

    Exceptions of aiohttp come out as they are: ``s3.errors`` translates them once.
    """

    def __init__(self, *, allow_http: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._allow_http = allow_http

    def _create_connector(
        self, proxy_url: str | None, *, plain: bool = False, loopback_only: bool = False
    ) -> aiohttp.TCPConnector:
        # Not aiobotocore's: that one verifies no certificate behind a proxy, and no host name anywhere.
        if plain:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: to read who is trusted takes 25 ms
        else:
            tls = tls_context(self._verify if isinstance(self._verify, str) else None)
            if self._cert_file:
                tls.load_cert_chain(self._cert_file, self._key_file)
        return aiohttp.TCPConnector(
            limit=self._max_pool_connections,
            ssl=tls,
            resolver=_Resolver(guarded(ask_dns, loopback_only=loopback_only)),
            **self._connector_args,
        )

    async def _session_for(self, url: str, proxy_url: str | None) -> aiohttp.ClientSession:
        plain = url.startswith("http://")
        key = (proxy_url, plain)
        session: aiohttp.ClientSession | None = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = await self._exit_stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=self._create_connector(
                        proxy_url, plain=plain and proxy_url is None, loopback_only=plain and not self._allow_http
                    ),
                    timeout=self._timeout,
                    skip_auto_headers={"CONTENT-TYPE"},
                    auto_decompress=False,
                )
            )
            # aiohttp would send it again by itself where a kept connection breaks: a conditional write meets itself then.
            session._retry_connection = False  # noqa: SLF001
        return session

    async def send(self, request: Any) -> Any:
        """Send a prepared request; the body of a streaming answer is left to the caller, who must close it."""
        proxy_url = self._proxy_config.proxy_url_for(request.url)
        session = await self._session_for(request.url, proxy_url)
        headers = CIMultiDict(
            (name, value.decode() if isinstance(value, bytes) else value) for name, value in request.headers.items()
        )
        headers["Accept-Encoding"] = "identity"
        timeouts = self._timeout
        if request.method == "POST" or "x-amz-copy-source" in headers:
            timeouts = aiohttp.ClientTimeout(
                sock_connect=timeouts.sock_connect, sock_read=timeouts.sock_read * PATIENCE
            )
        window_s = timeouts.sock_read
        try:
            async with asyncio.timeout(timeouts.sock_connect + window_s) as timeout:
                deadline = Deadline(timeout, window_s)
                try:
                    response = await session.request(
                        request.method,
                        URL(request.url, encoded=True),
                        headers=headers,
                        data=_payload(request.body, deadline),
                        allow_redirects=False,
                        timeout=timeouts,
                        proxy=proxy_url,
                        proxy_headers=self._proxy_config.proxy_headers_for(request.url),
                    )
                    answer: Any = _Answer(request.url, response.status, _headers(response.raw_headers), response)
                    if not request.stream_output:
                        deadline.extend(ANSWER_LIMIT_S)
                        await answer.content
                finally:
                    deadline.close()
        except TimeoutError as exc:
            raise StalledError("no progress within the read timeout") from exc
        return answer


def _payload(body: Any, deadline: Deadline) -> Any:
    if not body:
        return None
    return BufferPayload(body, deadline) if isinstance(body, bytes | bytearray | memoryview) else body


def _headers(raw: Any) -> dict[str, str]:
    # Bytes that are no UTF-8 must come back as they were, or be refused by name where they are written again.
    return {name.decode("latin-1").lower(): value.decode("utf-8", "surrogateescape") for name, value in raw}

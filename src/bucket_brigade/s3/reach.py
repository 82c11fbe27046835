"""How an endpoint is reached: its addresses, its certificate, its clock. One connection, one unsigned request, no secret sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from bucket_brigade.errors import BrigadeError, ConnectionLost, PermanentError
from bucket_brigade.s3.doors import ask_dns, permitted, tls_context
from bucket_brigade.s3.errors import error_from_exception
from bucket_brigade.settings.values import EndpointSettings

_MAX_HEAD_BYTES = 64 * 1024
_HTTPS_PORT, _HTTP_PORT = 443, 80

_CERTIFICATE_CODES = {
    9: "CertificateNotYetValid",
    10: "CertificateExpired",
    18: "CertificateSelfSigned",
    19: "CertificateSelfSigned",
    20: "CertificateUntrusted",
    21: "CertificateUntrusted",
    62: "CertificateWrongHost",
    64: "CertificateWrongHost",
}
"""OpenSSL's reasons (x509_vfy.h) and our names for them."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint showed, verified: for whom, from whom, until when (nanoseconds since the epoch)."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    expires_ns: int


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that answered.

    Attributes:
        addresses: what DNS gives.
        tls: the version, such as ``TLSv1.3``; "" over plain http.
        certificate: None over plain http.
        server: its header ``Server``.
        clock_offset_s: how far the endpoint's clock is ahead of ours, to a second or so; None where it tells no time.
    """

    addresses: tuple[str, ...]
    tls: str = ""
    certificate: Certificate | None = None
    server: str = ""
    clock_offset_s: float | None = None


def proxy_for(url: str) -> str:
    """Return the proxy that requests to a URL go through, without credentials; "" where there is none."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme, "")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    through = urlsplit(proxy)
    return f"{through.scheme}://{through.hostname}:{through.port}" if through.hostname else proxy.rpartition("@")[2]


async def reach(url: str, endpoint: EndpointSettings, *, authorities: str | None = None) -> Reached:
    """Connect to an endpoint as its client would, and ask for nothing.

    Args:
        url: where its requests go.
        endpoint: its settings.
        authorities: the PEM file that certificates are verified with; None for those of the system.

    Raises:
        ConnectionLost: code NameNotResolved, ConnectionRefused, TimedOut or ConnectionLost.
        PermanentError: code ForbiddenAddress, BadTls, BadCertificate, or one of Certificate…, which says what is wrong with it.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (_HTTPS_PORT if secure else _HTTP_PORT)
    context = tls_context(authorities) if secure else None
    try:
        async with asyncio.timeout(endpoint.connect_timeout_s + endpoint.read_timeout_s):
            found = await ask_dns(host, port)
            addresses = permitted(host, found, loopback_only=not secure and not endpoint.allow_http)
            reader, writer = await _connect(addresses, port, context, host, endpoint.connect_timeout_s)
            try:
                return await _ask(reader, writer, parts.netloc, tuple(found))
            finally:
                writer.close()
                with contextlib.suppress(OSError, ssl.SSLError):
                    await writer.wait_closed()
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as exc:
        raise _why(exc, url) from exc


async def _connect(
    addresses: list[str], port: int, context: ssl.SSLContext | None, host: str, limit_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failed: OSError | None = None
    for address in addresses:
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=host if context else None, limit=_MAX_HEAD_BYTES
                )
        except ssl.SSLError:
            raise
        except OSError as exc:
            failed = exc
    raise failed or socket.gaierror(socket.EAI_NONAME, "no address")


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, addresses: tuple[str, ...]
) -> Reached:
    tls = writer.get_extra_info("ssl_object")
    asked_at = time.time()
    writer.write(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bucket-brigade\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    answered_at = time.time()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Reached(
        addresses=addresses,
        tls=(tls.version() or "") if tls else "",
        certificate=_certificate(tls.getpeercert()) if tls else None,
        server=headers.get("server", "")[:80],
        clock_offset_s=_offset_s(headers.get("date", ""), (asked_at + answered_at) / 2),
    )


def _offset_s(date: str, now_s: float) -> float | None:
    try:
        # The header has whole seconds: its middle is the best guess.
        return parsedate_to_datetime(date).timestamp() + 0.5 - now_s
    except (ValueError, IndexError):
        return None


def _certificate(shown: dict[str, Any]) -> Certificate:
    def name(field: str) -> str:
        pairs = {key: value for group in shown.get(field, ()) for key, value in group}
        return str(pairs.get("commonName") or pairs.get("organizationName") or "")

    expires_s = ssl.cert_time_to_seconds(shown["notAfter"]) if "notAfter" in shown else 0
    return Certificate(
        subject=name("subject"),
        issuer=name("issuer"),
        names=tuple(value for _, value in shown.get("subjectAltName", ())),
        expires_ns=int(expires_s) * 1_000_000_000,
    )


def _why(exc: Exception, url: str) -> BrigadeError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        code = _CERTIFICATE_CODES.get(exc.verify_code, "BadCertificate")
        return PermanentError(f"the certificate of {url} is not trusted: {exc.verify_message}", code=code)
    if isinstance(exc, ConnectionRefusedError):
        return ConnectionLost(f"{url} refuses connections", code="ConnectionRefused")
    if isinstance(exc, ssl.SSLError) and exc.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return PermanentError(f"{url} does not speak TLS", code="NoTls")
    if isinstance(exc, ValueError | EOFError | asyncio.LimitOverrunError):
        return ConnectionLost(f"{url} does not answer as a web server does", code="NotHttp")
    return error_from_exception(exc, operation="connect", location=url)

"""What stands between a host name and a connection, the same for client and lane: which addresses are let through, and TLS.

The settings' own check (``session.check_endpoint_url``) sees names; only here is it known where they lead.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from bucket_brigade.errors import PermanentError
from bucket_brigade.settings.addresses import hands_out_credentials, is_loopback

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, in DNS's order. Raises gaierror."""


async def ask_dns(host: str, port: int) -> list[str]:
    """Return the addresses that the system's resolver gives."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def permitted(host: str, addresses: Sequence[str], *, loopback_only: bool) -> list[str]:
    """Return those of a host's addresses that may be connected to.

    Args:
        host: the name, for the message.
        addresses: what DNS says it means.
        loopback_only: the connection is plain http, which was not allowed to leave this machine.

    Raises PermanentError where none is left: link-local and metadata addresses never are.
    """
    reachable = [address for address in addresses if not hands_out_credentials(address)]
    if addresses and not reachable:
        raise PermanentError(
            f"{host} leads to {addresses[0]}, a link-local or metadata address, which is never an S3 endpoint",
            code="ForbiddenAddress",
            remedy="Check the endpoint's name, and the DNS that answers for it.",
        )
    if not loopback_only:
        return reachable
    local = [address for address in reachable if is_loopback(address)]
    if reachable and not local:
        raise PermanentError(
            f"{host} leads to {reachable[0]}, another machine, and would carry everything there unencrypted",
            code="ForbiddenAddress",
            remedy="Use https, or --allow-http for a network you trust.",
        )
    return local


def guarded(resolve: Resolve, *, loopback_only: bool) -> Resolve:
    """Return a resolver that lets only permitted addresses through."""

    async def resolve_and_check(host: str, port: int) -> list[str]:
        return permitted(host, await resolve(host, port), loopback_only=loopback_only)

    return resolve_and_check


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """Return what every TLS connection is made with: TLS 1.2 at least, certificate and host name verified.

    botocore's own context leaves the host name to urllib3, which aiohttp is not.

    Args:
        authorities: path of a PEM file; None (or empty) for those of the system.
    """
    context = ssl.create_default_context(cafile=authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context

"""Every way to a store: the adapter of the port, and the server behind it. The contract suite runs over all of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import msgspec

from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings
from tests.contract.quirks import SENDS_NO_CHECKSUMS, Quirk
from tests.fakes.memory_store import MemoryStore

OpenStore = Callable[[EndpointSettings], AbstractAsyncContextManager[Store]]


@dataclass(frozen=True, slots=True)
class Adapter:
    """One row of the table.

    Attributes:
        name: for test ids.
        server: the fixture that runs the server; None where there is none.
        open: opens the store at an endpoint.
        quirks: of the adapter's own settings, besides those of the server.
    """

    name: str
    server: str | None
    open: OpenStore
    quirks: frozenset[Quirk] = frozenset()


@contextlib.asynccontextmanager
async def open_memory(_endpoint: EndpointSettings) -> AsyncIterator[Store]:
    yield MemoryStore()


@contextlib.asynccontextmanager
async def open_through_client(endpoint: EndpointSettings) -> AsyncIterator[Store]:
    from bucket_brigade.s3.client import ClientStore
    from bucket_brigade.s3.session import open_client

    async with open_client(endpoint, max_connections=32) as client:
        yield ClientStore(client, endpoint)


@contextlib.asynccontextmanager
async def open_through_lane(endpoint: EndpointSettings) -> AsyncIterator[Store]:
    from bucket_brigade.s3.client import ClientStore
    from bucket_brigade.s3.lane import lane_supports, open_lane
    from bucket_brigade.s3.late_client import open_late_client

    async with open_late_client(endpoint, max_connections=32) as client:
        assert lane_supports(client) is None
        async with open_lane(endpoint, client, ClientStore(client, endpoint), max_connections=32) as lane:
            yield lane


@contextlib.asynccontextmanager
async def open_without_checksums(endpoint: EndpointSettings) -> AsyncIterator[Store]:
    async with open_through_lane(msgspec.structs.replace(endpoint, checksum="when_required")) as lane:
        yield lane


SERVERS = ("moto", "ministack", "ministack_tls", "rclone", "rclone_tls", "hostile")
WAYS: dict[str, OpenStore] = {"client": open_through_client, "lane": open_through_lane}
ADAPTERS = [
    Adapter("memory", None, open_memory),
    *(Adapter(f"{way}-{server}", server, opens) for way, opens in WAYS.items() for server in SERVERS),
    Adapter("lane-ministack-bare", "ministack", open_without_checksums, SENDS_NO_CHECKSUMS),
]

"""Fixtures of the contract suite. All of it runs on one event loop, so that a client is opened once per server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings
from tests.contract.adapters import ADAPTERS, Adapter
from tests.contract.quirks import Quirk, Quirks
from tests.fakes.memory_store import MemoryStore
from tests.servers import RunningServer


@dataclass(frozen=True, slots=True)
class Ground:
    """An open store, and what stands behind it."""

    adapter: Adapter
    server: str
    endpoint: EndpointSettings
    store: Store


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=ADAPTERS, ids=[adapter.name for adapter in ADAPTERS]
)
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    adapter: Adapter = request.param
    server, endpoint = "memory", EndpointSettings(name="memory")
    if adapter.server is not None:
        running: RunningServer = request.getfixturevalue(adapter.server)
        server, endpoint = running.name, running.endpoint
    async with adapter.open(endpoint) as store:
        yield Ground(adapter, server, endpoint, store)


@pytest.fixture
def store(ground: Ground) -> Store:
    return ground.store


@pytest.fixture
def quirks(ground: Ground) -> Quirks:
    return Quirks.of(ground.server, ground.adapter.quirks)


@pytest_asyncio.fixture(loop_scope="session")
async def bucket(store: Store) -> str:
    """Make a new bucket for this test. It is left to the server, which is thrown away."""
    name = f"contract-{uuid.uuid4().hex[:20]}"
    await store.create_bucket(name)
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def versioned(ground: Ground, quirks: Quirks, bucket: str) -> str:
    """Make a new bucket that keeps versions; what the port does not offer is asked of the server behind it."""
    if Quirk.NO_VERSIONS in quirks:
        pytest.skip(Quirk.NO_VERSIONS.value)
    if isinstance(ground.store, MemoryStore):
        ground.store.buckets[bucket].versioned = True
    else:
        async with open_client(ground.endpoint, max_connections=1) as client:
            await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket

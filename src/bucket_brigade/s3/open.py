"""Opens the store of an endpoint: the one place that chooses what is behind the port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from bucket_brigade.errors import ConfigError
from bucket_brigade.local.descriptors import transfers_at_once
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.governor_window import LARGEST_LIMIT
from bucket_brigade.s3.late_client import open_late_client
from bucket_brigade.s3.profile import read_profile
from bucket_brigade.s3.renewal import Renewal, is_renewable
from bucket_brigade.s3.retry import OnRetry
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.session import Client, open_client
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings, EngineSettings

if TYPE_CHECKING:
    from bucket_brigade.s3.client import ClientStore


@contextlib.asynccontextmanager
async def open_store(
    endpoint: EndpointSettings,
    *,
    engine: EngineSettings,
    governor: Governor | None = None,
    on_retry: OnRetry | None = None,
    state_dir: str | None = None,
) -> AsyncIterator[RetryingStore]:
    """Open an endpoint, with retries; its connections are closed at the end.

    Args:
        endpoint: its settings.
        engine: gives the retry policy, and whether the concurrency finds itself.
        governor: of this endpoint, where several stores share it; else it has one of its own.
        on_retry: told of every retry.
        state_dir: where the endpoint's profile is kept, if it has one.

    Raises:
        ConfigError: the settings are unsafe, or there are no credentials.
    """
    from bucket_brigade.s3.client import ClientStore

    connections = max_connections()
    async with contextlib.AsyncExitStack() as stack:
        open_ = open_client if engine.lane == "off" else open_late_client
        client = await stack.enter_async_context(open_(endpoint, max_connections=connections))
        client_store = ClientStore(client, endpoint)
        if state_dir is not None:
            client_store.believe(read_profile(state_dir, endpoint))
        store: Store = client_store
        if engine.lane != "off":
            store = await _prefer_lane(stack, endpoint, client, client_store, connections, insist=engine.lane == "on")
        governor = governor or open_governor(engine)
        yield RetryingStore(store, engine.retry, governor, on_retry, _renewal_of(client, store))


def _renewal_of(client: Client, store: Store) -> Renewal | None:
    from bucket_brigade.s3.lane import LaneStore, credentials_of

    credentials = credentials_of(client)
    if not is_renewable(credentials):
        return None
    return Renewal(credentials, store.credentials_changed if isinstance(store, LaneStore) else lambda: None)


async def _prefer_lane(
    stack: contextlib.AsyncExitStack,
    endpoint: EndpointSettings,
    client: Client,
    store: ClientStore,
    connections: int,
    *,
    insist: bool,
) -> Store:
    from bucket_brigade.s3.lane import lane_supports, open_lane

    reason = lane_supports(client)
    if reason is None:
        lane = open_lane(endpoint, client, store, max_connections=connections, insist=insist)
        return await stack.enter_async_context(lane)
    if insist:
        raise ConfigError(
            f"the lane cannot serve the endpoint {endpoint.name}: {reason}", remedy="Use --lane auto or off."
        )
    structlog.get_logger().info("lane not used", endpoint=endpoint.name, reason=reason)
    return store


def open_governor(engine: EngineSettings) -> Governor:
    """Return the governor of an endpoint: with a chosen concurrency, it only answers refusals."""
    return Governor(auto=not engine.concurrency, largest=max_connections())


def max_connections() -> int:
    """Return how many connections to one endpoint this process has descriptors for. They are opened on demand.

    Generous, because a request that waits for a connection already runs against its deadline.
    """
    return min(LARGEST_LIMIT, transfers_at_once())

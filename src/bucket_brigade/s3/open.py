"""Opens the store of an endpoint: the one place that chooses what is behind the port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bucket_brigade.s3.retry import OnRetry
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.throttle import Throttle
from bucket_brigade.settings.values import EndpointSettings, EngineSettings


@contextlib.asynccontextmanager
async def open_store(
    endpoint: EndpointSettings,
    *,
    engine: EngineSettings,
    throttle: Throttle | None = None,
    on_retry: OnRetry | None = None,
) -> AsyncIterator[RetryingStore]:
    """Open an endpoint, with retries; its connections are closed at the end.

    Args:
        endpoint: its settings.
        engine: gives the number of connections (every transfer may move several parts at once) and the retry policy.
        throttle: of this endpoint, where several stores share it; else it has one of its own.
        on_retry: told of every retry.

    Raises:
        ConfigError: the settings are unsafe, or there are no credentials.
    """
    from bucket_brigade.s3.client import ClientStore

    async with open_client(endpoint, max_connections=max_connections(engine)) as client:
        yield RetryingStore(ClientStore(client, endpoint), engine.retry, throttle or Throttle(), on_retry)


def max_connections(engine: EngineSettings) -> int:
    """Return how many connections to one endpoint a process may need. They are opened on demand.

    Generous, because a request that waits for a connection already runs against its deadline.
    """
    return max(16, min(1024, engine.concurrency * engine.part_concurrency))
